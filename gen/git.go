package gen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// git asks git about the repository of a directory. Nothing that it does writes there.
type git struct {
	ctx context.Context
	dir string
}

func (g git) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(g.ctx, "git", append([]string{"-C", g.dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	return cmd
}

// run returns what a command of git prints.
func (g git) run(args ...string) ([]byte, error) {
	cmd := g.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, g.failure(args[0], err, stderr.String())
	}
	return out, nil
}

// failure is what an error of a command of git comes down to.
func (g git) failure(name string, err error, stderr string) error {
	if g.ctx.Err() != nil {
		return context.Cause(g.ctx)
	}
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("git is not installed, and -base asks it: compare two directories instead")
	}
	if text := strings.TrimSpace(stderr); text != "" {
		return fmt.Errorf("git %s: %s", name, text)
	}
	return fmt.Errorf("git %s: %w", name, err)
}

// commit is the name of the commit that a revision means.
func (g git) commit(revision string) (string, error) {
	if _, err := g.run("rev-parse", "--git-dir"); err != nil {
		return "", fmt.Errorf("-base compares with a git revision: %w", err)
	}
	out, err := g.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err == nil {
		return strings.TrimSpace(string(out)), nil
	}
	if g.ctx.Err() != nil {
		return "", err
	}
	remedy := "see git branch -a and git log, or git fetch what is only elsewhere"
	if shallow, err := g.run("rev-parse", "--is-shallow-repository"); err == nil && strings.TrimSpace(string(shallow)) == "true" {
		remedy = "this clone is shallow: git fetch --unshallow, or git fetch origin REV, brings what is missing"
	}
	return "", fmt.Errorf("there is no git revision %q here; %s", revision, remedy)
}

// blobs are the files of a directory at a commit: the name of the blob by the path below the directory. There are
// none where there was no such directory.
func (g git) blobs(commit, dir string) (map[string]string, error) {
	out, err := g.run("ls-tree", "-r", "-z", commit, "--", dir+"/")
	if err != nil {
		return nil, err
	}
	blobs := map[string]string{}
	for entry := range strings.SplitSeq(string(out), "\x00") {
		about, name, ok := strings.Cut(entry, "\t")
		if !ok {
			continue
		}
		fields := strings.Fields(about) // mode, type, name of the blob
		name = strings.TrimPrefix(name, dir+"/")
		if len(fields) != 3 || fields[1] != "blob" || !strings.HasPrefix(fields[0], "100") {
			return nil, fmt.Errorf("%s/%s was no file at %s: compare with another revision", dir, name, commit)
		}
		blobs[name] = fields[2]
	}
	return blobs, nil
}

// touched are the files of a directory that are, or look, not as they were at a commit, as far as git knows them.
func (g git) touched(commit, dir string) (map[string]bool, error) {
	out, err := g.run("diff", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv", "--relative", "--ignore-submodules", commit, "--", dir+"/")
	if err != nil {
		return nil, err
	}
	touched := map[string]bool{}
	for field := range strings.SplitSeq(string(out), "\x00") {
		if name, ok := strings.CutPrefix(field, dir+"/"); ok {
			touched[name] = true
		}
	}
	return touched, nil
}

// edited are the files below the directory, of those that the patterns pick, whose last state is not committed.
func (g git) edited(patterns ...string) ([]string, error) {
	prefix, err := g.run("rev-parse", "--show-prefix") // of the directory in the repository, from which status names files
	if err != nil {
		return nil, err
	}
	out, err := g.run(append([]string{"status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules", "--"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	var edited []string
	for entry := range strings.SplitSeq(string(out), "\x00") {
		if len(entry) > 3 {
			edited = append(edited, strings.TrimPrefix(entry[3:], strings.TrimSuffix(string(prefix), "\n")))
		}
	}
	return edited, nil
}

// texts reads blobs by their names.
func (g git) texts(blobs []string) (map[string][]byte, error) {
	texts := make(map[string][]byte, len(blobs))
	if len(blobs) == 0 {
		return texts, nil
	}
	cmd := g.command("cat-file", "--batch", "--buffer")
	cmd.Stdin = strings.NewReader(strings.Join(blobs, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, g.failure("cat-file", err, "")
	}
	reading := readBlobs(bufio.NewReaderSize(pipe, 1<<18), len(blobs), texts)
	if reading != nil {
		_ = cmd.Process.Kill()
	}
	err = cmd.Wait()
	switch {
	case g.ctx.Err() != nil:
		return nil, context.Cause(g.ctx)
	case reading != nil && stderr.Len() > 0:
		return nil, g.failure("cat-file", reading, stderr.String())
	case reading != nil:
		return nil, fmt.Errorf("git cat-file: %w", reading)
	case err != nil:
		return nil, g.failure("cat-file", err, stderr.String())
	}
	return texts, nil
}

// readBlobs reads what git cat-file --batch answers to n names.
func readBlobs(r *bufio.Reader, n int, texts map[string][]byte) error {
	for range n {
		header, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		fields := strings.Fields(header)
		if len(fields) == 2 && fields[1] == "missing" {
			return fmt.Errorf("the content %s is not in this clone, which is partial: git fetch --refetch brings it", fields[0])
		}
		if len(fields) != 3 || fields[1] != "blob" {
			return fmt.Errorf("it answers %q", strings.TrimSpace(header))
		}
		size, err := strconv.ParseInt(fields[2], 10, 32)
		if err != nil {
			return fmt.Errorf("it answers %q", strings.TrimSpace(header))
		}
		text := make([]byte, size+1) // and a line's end
		if _, err := io.ReadFull(r, text); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		texts[fields[0]] = text[:size:size]
	}
	return nil
}
