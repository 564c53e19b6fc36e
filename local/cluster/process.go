package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// A process is one component. It holds the reading end of a pipe as its standard input and ends when the pipe
// does: on stop, and when this process is gone, for whatever reason. The alternative, Linux's
// death signal, comes when the starting thread ends, and a goroutine's thread may end before its process.
type process struct {
	name    string
	cmd     *exec.Cmd
	life    *os.File    // the writing end
	stopped atomic.Bool // on purpose
	ended   chan struct{}
	err     error // valid once ended is closed
}

// startProcess runs binary with args in dir, with its output in dir/name.log.
func startProcess(dir, name, binary string, args ...string) (*process, error) {
	path := filepath.Join(dir, name+".log")
	log, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	stdin, life, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = stdin.Close() }()
	cmd := exec.Command(binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir) // whatever the user has in theirs is not for these
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, log, log
	// In a group of its own, an interrupt at the terminal reaches only this process, which stops the others
	// in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", name, err), life.Close())
	}
	p := &process{name: name, cmd: cmd, life: life, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the state says it
		p.err = fmt.Errorf("%s ended: %s, see %s:\n%s", name, cmd.ProcessState, path, tail(path))
		close(p.ended)
	}()
	return p, nil
}

// stop ends the process, and returns when it is gone; one that is gone already is no error. Nothing is lost:
// only etcd has state, and it takes the end of its process as it takes a crash.
func (p *process) stop() error {
	if p.stopped.Swap(true) {
		return nil
	}
	err := p.life.Close()
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // a paused one does not see the end; one that is gone needs not
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		err = errors.Join(err, p.cmd.Process.Kill())
		<-p.ended
	}
	return err
}

// tail is the last lines of a log.
func tail(path string) []byte {
	data, _ := os.ReadFile(path)
	data = bytes.TrimSpace(data)
	lines := bytes.Split(data, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-10):], []byte("\n"))
}
