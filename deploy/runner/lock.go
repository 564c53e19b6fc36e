package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
)

// A lock is what Pulumi leaves in a backend that it manages itself while it changes a stack. A process that is
// killed leaves it for ever.
type lock struct {
	user, host string
	pid        int
	since      string // RFC 3339
}

func (l lock) String() string { return fmt.Sprintf("pid %d of %s@%s", l.pid, l.user, l.host) }

// holder is a line of what Pulumi says when it refuses to touch a locked stack, whatever the backend.
var holder = regexp.MustCompile(`: created by (.+)@(\S+) \(pid (\d+)\) at (\S+)`)

// locksIn reads the holders of a stack's locks out of Pulumi's refusal. Any other error it returns.
func locksIn(refusal error) ([]lock, error) {
	if !auto.IsConcurrentUpdateError(refusal) {
		return nil, diagnosis(refusal, nil)
	}
	var locks []lock
	for _, match := range holder.FindAllStringSubmatch(refusal.Error(), -1) {
		pid, err := strconv.Atoi(match[3])
		if err != nil {
			return nil, fmt.Errorf("reading the pid of a lock: %w", err)
		}
		locks = append(locks, lock{user: match[1], host: match[2], pid: pid, since: match[4]})
	}
	if len(locks) == 0 {
		return nil, fmt.Errorf("reading who holds the lock: %w", refusal)
	}
	return locks, nil
}

// breakable is nil if nobody can be behind the lock any more: its process was one of this host and is gone.
// Of another host's process nothing is known, unless whoever runs this knows, and says so by force.
func (l lock) breakable(host string, runs func(pid int) bool, force bool) error {
	switch {
	case l.host == host && runs(l.pid):
		return fmt.Errorf("%s is changing the stack since %s: wait until it ends, or end it", l, l.since)
	case l.host != host && !force:
		return fmt.Errorf("%s locked the stack at %s, and from here nobody can tell whether it still runs: make sure that it does not, then run this with -break-lock", l, l.since)
	}
	return nil
}

// pulumiRuns tells whether a process of this host exists and may be Pulumi. The number of one that ended can be
// another's by now.
func pulumiRuns(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	if err := process.Signal(syscall.Signal(0)); err != nil {
		return !errors.Is(err, os.ErrProcessDone) // another user's can't be asked more
	}
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	switch {
	case err == nil:
		return strings.HasPrefix(filepath.Base(program), "pulumi")
	case errors.Is(err, fs.ErrNotExist):
		_, err := os.Stat("/proc/self/exe")
		return err != nil // where there is a /proc, a process without a program is dead and waits for its parent
	default:
		return true
	}
}
