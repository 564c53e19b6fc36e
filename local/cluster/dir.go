package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tenantry/tenantry/local/build"
)

// privateDir makes a directory of this process alone and removes those whose process is dead. It belongs to
// whoever has it locked.
func privateDir() (*os.File, error) {
	cache, err := build.Cache()
	if err != nil {
		return nil, err
	}
	run := filepath.Join(cache, "run")
	if err := os.MkdirAll(run, 0o700); err != nil {
		return nil, err
	}
	// Nobody may sweep between the making of a directory and its locking.
	all, err := os.Open(run)
	if err != nil {
		return nil, err
	}
	defer func() { _ = all.Close() }()
	if err := flock(all, syscall.LOCK_EX); err != nil {
		return nil, err
	}
	old, err := os.ReadDir(run)
	if err != nil {
		return nil, err
	}
	for _, d := range old {
		path := filepath.Join(run, d.Name())
		lock, err := lockDir(path)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := errors.Join(os.RemoveAll(path), lock.Close()); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(run, "")
	if err != nil {
		return nil, err
	}
	return lockDir(dir)
}

// ownDir takes a directory that the user named. What is in it stays.
func ownDir(path string) (*os.File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	dir, err := lockDir(path)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%q is another control plane's", path)
	}
	return dir, err
}

// lockDir locks a directory for as long as the file is open, and fails with EWOULDBLOCK if another has it.
func lockDir(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := flock(dir, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

func flock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
