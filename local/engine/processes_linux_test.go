package engine_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// processesOf is every process of a run that has not ended, whoever its parent has become.
func processesOf(t testing.TB, id string) map[int]string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, path := range paths {
		environ, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(append([]byte{0}, environ...), fmt.Appendf(nil, "\x00%s=%s\x00", runVariable, id)) {
			continue // somebody else's, or gone
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		name, err := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
		if err == nil {
			found[pid] = strings.TrimSpace(string(name))
		}
	}
	return found
}

// limited becomes another program, for which and for all that it starts every write beyond that many bytes of a file
// fails, as it does on a disk that is full. No privilege is needed for it, and root cannot escape it.
func limited(size string, args []string) error {
	n, err := strconv.ParseUint(size, 10, 64)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // whose signals are the program's
	var blocked unix.Sigset_t
	blocked.Val[0] = 1 << (unix.SIGXFSZ - 1) // would end a process before its write fails
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, nil); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		return err
	}
	return syscall.Exec(args[0], args, os.Environ())
}
