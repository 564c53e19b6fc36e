package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// cacheDir holds binaries, and below run/ the directories of running control planes.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "tenantry")
	return dir, os.MkdirAll(dir, 0o700)
}

// privateDir makes a directory of this process alone and removes those whose process is dead. It belongs to
// whoever has it locked.
func privateDir(ctx context.Context, cache string) (*os.File, error) {
	run := filepath.Join(cache, "run")
	if err := os.MkdirAll(run, 0o700); err != nil {
		return nil, err
	}
	// Nobody may sweep between the making of a directory and its locking.
	all, err := lockFile(ctx, filepath.Join(cache, "run.lock"), func() {})
	if err != nil {
		return nil, err
	}
	defer func() { _ = all.Close() }()
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
	if err := flock(dir); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// lockFile creates and locks a file, and calls waiting once if another has it.
func lockFile(ctx context.Context, path string, waiting func()) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	told := false
	err = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(context.Context) (bool, error) {
		err := flock(file)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err == nil, err
		}
		if !told {
			waiting()
			told = true
		}
		return false, nil
	})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func flock(file *os.File) error {
	for {
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func parse[T any](data []byte) (v T, err error) {
	return v, json.Unmarshal(data, &v)
}
