// Command session runs in the tests' containers, with one word of behaviour and its
// argument.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	does := map[string]func(argument string){
		"exit":  func(code string) { os.Exit(number(code)) },
		"say":   func(text string) { fmt.Println(text) },
		"env":   func(string) { fmt.Println(strings.Join(os.Environ(), "\n")) },
		"serve": func(code string) { serve(signals, number(code)) },
		"defy":  func(string) { fmt.Println("ready"); <-signals; fmt.Println("defied"); select {} },
		"flood": func(count string) { flood(number(count)) },
		"long":  func(length string) { fmt.Println("x" + strings.Repeat("é", number(length)/2)) },
		"both":  func(string) { fmt.Println("out"); fmt.Fprintln(os.Stderr, "err"); fmt.Println(); fmt.Print("end") },
		"eat":   func(mib string) { eat(number(mib)) },
		"look":  func(string) { look() },
	}
	argument := ""
	if len(os.Args) > 2 {
		argument = os.Args[2]
	}
	does[os.Args[1]](argument)
}

// serve shows its environment and ends in order.
func serve(signals <-chan os.Signal, code int) {
	fmt.Println(strings.Join(os.Environ(), "\n"))
	fmt.Println("ready")
	<-signals
	fmt.Println("ending")
	os.Exit(code)
}

func flood(count int) {
	for i := range count {
		fmt.Println("line", i)
	}
}

func eat(mib int) {
	var eaten [][]byte
	for range mib {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		eaten = append(eaten, block)
	}
	fmt.Println("ate", len(eaten))
}

// look shows the effect of the container's parameters.
func look() {
	var shared syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &shared); err != nil {
		panic(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	fmt.Println("shm", int64(shared.Blocks)*shared.Bsize>>20)
	fmt.Println("uid", os.Getuid())
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "CapEff") {
			fmt.Println(strings.Join(strings.Fields(line), " "))
		}
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}
