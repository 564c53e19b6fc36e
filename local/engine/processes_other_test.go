//go:build !linux

package engine_test

import (
	"errors"
	"testing"
)

// processesOf is empty: only Linux tells the environment of a process to everybody in the same way.
func processesOf(testing.TB, string) map[int]string { return nil }

// limited fails: a signal that is blocked stays so in another program's runtime is Linux's.
func limited(string, []string) error { return errors.ErrUnsupported }
