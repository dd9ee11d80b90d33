// Command benchjob is the smallest session: it says that it is ready and ends
// after as long as its argument says. The benchmarks queue hundreds of it.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	length, err := time.ParseDuration(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(64)
	}
	fmt.Println(`{"event":"ready"}`)
	time.Sleep(length)
}
