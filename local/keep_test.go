package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

func TestKeep(t *testing.T) {
	tests := []struct {
		name, script string
		grace        time.Duration
		code         int
	}{
		{"a command that ends", "exit 7", time.Hour, 7},
		{"one that ends when it is interrupted", "trap 'exit 3' INT; echo $$ >$0; while :; do sleep 0.01; done", time.Hour, 3},
		{"one that does not, and what it has started", "trap '' INT; sleep 1000 & echo $! >$0; wait", time.Millisecond, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			life, end, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			started := filepath.Join(t.TempDir(), "started")
			code := make(chan int, 1)
			go func() { code <- keep(life, t.Output(), test.grace, []string{"/bin/sh", "-c", test.script, started}) }()
			var pids []int
			if test.code != 7 {
				err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
					data, _ := os.ReadFile(started)
					var pid int
					n, _ := fmt.Sscan(string(data), &pid)
					pids = []int{pid}
					return n == 1, nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := end.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if got := <-code; got != test.code {
				t.Errorf("exit code %d, want %d", got, test.code)
			}
			gone(t, pids)
		})
	}
}
