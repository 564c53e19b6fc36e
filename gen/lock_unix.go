//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package gen

import (
	"errors"
	"os"
	"syscall"
)

// flock locks an open directory against all other processes. It returns EWOULDBLOCK when another has the
// lock and it is not to wait.
func flock(dir *os.File, wait bool) error {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		if err := syscall.Flock(int(dir.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
