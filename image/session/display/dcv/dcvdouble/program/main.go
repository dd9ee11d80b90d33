// Command program is the double of the Amazon DCV server's programs, under their
// names: dcv, dcvserver, dcvsessionlauncher and Xdcv. It prints the texts that they
// were seen to print, and serves a page that names itself a double. docs/fidelity.md has the
// differences.
//
// As "program lay PACKAGE ROOT" it lays out a package's files below a root.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// programs is the package's folder of programs; /usr/bin has wrappers.
const programs = "/usr/lib/x86_64-linux-gnu/dcv"

// root is the folder below which the files were laid out, "/" if they were installed.
var root = strings.TrimSuffix(executable(), programs+"/"+name())

func executable() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

func name() string { return filepath.Base(executable()) }

func at(path string) string { return filepath.Join("/", root, path) }

func main() {
	var err error
	switch name() {
	case "dcv":
		os.Exit(ask(os.Args[1:]))
	case "dcvserver":
		err = serve(os.Args[1:])
	case "dcvsessionlauncher":
		err = launch()
	default:
		err = lay(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name()+": "+err.Error())
		os.Exit(1)
	}
}

// terminated is filled when the program is asked to end.
func terminated() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
	return c
}
