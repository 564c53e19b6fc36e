package runner

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
)

// The oldest versions that this code was tried with. The program asks for providerVersion, which Pulumi
// installs; only a provider on the PATH can be another one.
var (
	cliVersion      = semver.MustParse("3.250.0")
	providerVersion = semver.MustParse("4.27.0")
)

const providerName = "pulumi-resource-kubernetes"

// findPulumi is Pulumi's CLI on the PATH, if it and the provider are new enough. Both are asked at once.
func findPulumi(ctx context.Context) (auto.PulumiCommand, error) {
	var old error // the provider, or what else is wrong with it
	var provider sync.WaitGroup
	provider.Go(func() { old = checkProvider(ctx) })
	cli, err := findCLI()
	provider.Wait()
	return cli, cmp.Or(err, old)
}

func findCLI() (auto.PulumiCommand, error) {
	if _, err := exec.LookPath("pulumi"); err != nil {
		return nil, fmt.Errorf("there is no pulumi on the PATH: install Pulumi %s or newer, or build it with: go -C local run . build", cliVersion)
	}
	// It logs even that it is asked for its version: where it cannot make the folder, it does not.
	users, set := os.LookupEnv("PULUMI_HOME")
	if err := os.Setenv("PULUMI_HOME", os.DevNull); err != nil {
		return nil, err
	}
	cli, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{SkipVersionCheck: true})
	if set {
		err = errors.Join(err, os.Setenv("PULUMI_HOME", users))
	} else {
		err = errors.Join(err, os.Unsetenv("PULUMI_HOME"))
	}
	if err != nil {
		return nil, err
	}
	if cli.Version().LT(cliVersion) {
		return nil, fmt.Errorf("the pulumi on the PATH is %s: install %s or newer", cli.Version(), cliVersion)
	}
	return cli, nil
}

func checkProvider(ctx context.Context) error {
	path, err := exec.LookPath(providerName)
	if err != nil {
		return nil //nolint:nilerr // Pulumi has it in its own folder or installs the version that the program names
	}
	version, err := versionOf(ctx, path)
	if err != nil {
		return fmt.Errorf("asking %s for its version: %w", path, err)
	}
	if version.LT(providerVersion) {
		return fmt.Errorf("%s is %s: install %s or newer, or take it off the PATH and let Pulumi install it", path, version, providerVersion)
	}
	return nil
}

// versionOf starts a provider, asks it, and ends it.
func versionOf(ctx context.Context, path string) (version semver.Version, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "127.0.0.1:0") // an engine's address, which it does not call for this
	out, err := cmd.StdoutPipe()
	if err != nil {
		return version, err
	}
	if err := cmd.Start(); err != nil {
		return version, err
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it is killed
	}()
	var port int
	if _, err := fmt.Fscanln(out, &port); err != nil {
		return version, fmt.Errorf("reading its port: %w", err)
	}
	conn, err := grpc.NewClient("127.0.0.1:"+strconv.Itoa(port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return version, err
	}
	defer func() { _ = conn.Close() }()
	info, err := pulumirpc.NewResourceProviderClient(conn).GetPluginInfo(ctx, &emptypb.Empty{}, grpc.WaitForReady(true))
	if err != nil {
		return version, err
	}
	return semver.ParseTolerant(info.GetVersion())
}

// A terse command leaves out what the Automation API asks and nobody here needs to know: after each update the
// stack's outputs and its history, and before one whether a stack is there that the cluster says was deployed. Each
// costs the start of a process.
type terse struct {
	auto.PulumiCommand
	deployed func(stack string) bool
}

// isDeployed tells whether up goes to a stack that the cluster says was deployed.
func (c *call) isDeployed(stack string) bool {
	return c.verb == "up" && c.deployed[strings.TrimPrefix(stack, c.name+".")] != ""
}

// Run is auto.PulumiCommand's.
func (t terse) Run(ctx context.Context, dir string, stdin io.Reader, stdout, stderr []io.Writer, env []string, args ...string) (string, string, int, error) {
	if len(args) > 1 && args[0] == "stack" {
		switch {
		case args[1] == "output":
			return "{}", "", 0, nil
		case args[1] == "history":
			return "[]", "", 0, nil
		case args[1] == "select" && t.deployed(args[len(args)-1]):
			return "", "", 0, nil
		}
	}
	return t.PulumiCommand.Run(ctx, dir, stdin, stdout, stderr, env, args...)
}

// diagnosed is the diagnosis of an error that Pulumi says nothing more of; nil for none.
func diagnosed(err error) error {
	if err == nil {
		return nil
	}
	return diagnosis(err, nil)
}

// diagnosis is what Pulumi says went wrong, without what it says went well.
func diagnosis(err error, diagnostics []string) error {
	const full = "there is no space left on the device that the state is on: make room, then run recover and up again"
	text := err.Error()
	for _, known := range []struct{ sign, says string }{
		{"incorrect passphrase", "PULUMI_CONFIG_PASSPHRASE is not the one that this stack's state was encrypted with"},
		{"passphrase must be set", "PULUMI_CONFIG_PASSPHRASE is not set: it decrypts the state of this stack"},
		{syscall.ENOSPC.Error(), full},
		{syscall.EDQUOT.Error(), full},
		{syscall.EFBIG.Error(), full},
	} {
		if strings.Contains(text, known.sign) {
			return errors.New(known.says)
		}
	}
	if _, lock, found := strings.Cut(text, "the stack is currently locked by"); found {
		_, lock, _ = strings.Cut(lock, "created by ")
		lock, _, _ = strings.Cut(lock, "\n")
		return fmt.Errorf("another run is at work on this stack, begun by %s: wait for it, or if it is dead, mend what it left with recover", lock)
	}
	if len(diagnostics) > 0 {
		return errors.New(strings.Join(diagnostics, "\n"))
	}
	if _, stderr, found := strings.Cut(text, "\nstderr: "); found && strings.TrimSpace(stderr) != "" {
		return errors.New(strings.TrimSpace(stderr)) // what it printed besides is its progress
	}
	return err
}

// A hider keeps the values of secrets out of what people and logs see: API servers echo bodies.
type hider []string

func scrubber(secrets map[string]map[string]string) hider {
	var values hider
	for _, keys := range secrets {
		for _, value := range keys {
			if len(value) >= 4 { // a shorter one would blank half of every message
				quoted := strings.Trim(strconv.Quote(value), `"`) // as one with several lines stands in JSON
				values = append(values, value, quoted, base64.StdEncoding.EncodeToString([]byte(value)))
			}
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	return values
}

func (h hider) text(text string) string {
	for _, value := range h {
		text = strings.ReplaceAll(text, value, "[secret]")
	}
	return text
}

func (h hider) error(err error) error { return errors.New(h.text(err.Error())) }
