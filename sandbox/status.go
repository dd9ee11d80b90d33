package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"github.com/intraverse/dcv-sessions/sandbox/workspace"
)

func status(_ context.Context, _ []string) error {
	w, err := workspace.Open()
	if err != nil {
		return err
	}
	cloud := w.Cloud
	if cloud == nil {
		fmt.Println("nothing runs; make up starts it")
		return nil
	}
	fmt.Printf("local AWS %s at %s, Docker at %s\n", cloud.ID, cloud.Endpoint(), cloud.DockerHost)
	for _, process := range cloud.Processes {
		state := "runs"
		if !process.Alive() {
			state = "has ended"
		}
		fmt.Printf("  %-9s pid %-8d %s, log %s\n", process.Name, process.PID, state, process.Log)
	}
	return nil
}

// env prints the variables as export commands for a shell.
func env(_ context.Context, _ []string) error {
	cloud, err := workspace.Cloud()
	if err != nil {
		return err
	}
	for _, pair := range cloud.Variables() {
		fmt.Printf("export %s\n", pair)
	}
	return nil
}

// runIn runs a command in the environment of the local AWS, in place of this process.
func runIn(_ context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: sandbox exec COMMAND…")
	}
	cloud, err := workspace.Cloud()
	if err != nil {
		return err
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(program, args, cloud.Env())
}
