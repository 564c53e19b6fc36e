package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"github.com/tenantry/tenantry/deploy/live"
	"github.com/tenantry/tenantry/local/build"
	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/crds"
	"github.com/tenantry/tenantry/local/placeholder"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// up deploys a fleet and prints what runs. It stays until ctx ends if the control plane is its own.
func up(ctx context.Context, dir string, fleet render.Fleet, stdout, stderr io.Writer) error {
	kubeconfig := os.Getenv("KUBECONFIG")
	if kubeconfig != "" && dir == "" {
		return usageError("KUBECONFIG is set: -dir must tell where Pulumi's state and the keys stay as long as that cluster does, or unset it to have a control plane started")
	}
	if kubeconfig == "" {
		path, err := build.Path(ctx, stderr)
		if err != nil {
			return err
		}
		return withControlPlane(ctx, dir, fleet, stderr, func(ctx context.Context, c *cluster.Cluster) error {
			d := deployment{filepath.Dir(c.Kubeconfig()), dir == "", c.Kubeconfig(), path, fleet, stderr}
			if err := d.run(ctx, c.Config(), stdout); err != nil {
				return err
			}
			fmt.Fprintf(stderr, "it runs until interrupted; to look at it: export KUBECONFIG=%s\n", c.Kubeconfig())
			<-ctx.Done()
			return nil
		})
	}
	config, err := live.Config(fleet.Name)
	if err != nil {
		return err
	}
	path, err := build.Path(ctx, stderr)
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := crds.Install(ctx, config); err != nil {
		return err
	}
	d := deployment{dir, false, kubeconfig, path, fleet, stderr}
	return d.run(ctx, config, stdout)
}

// errDeploying is the error of a deploy command that was interrupted, and that has said so.
var errDeploying = errors.New("it was interrupted")

// A deployment is one run of the deploy command.
type deployment struct {
	dir        string // where its state, keys and temporary files are
	temporary  bool   // nothing there is kept
	kubeconfig string
	path       string // value of PATH
	fleet      render.Fleet
	stderr     io.Writer
}

func (d deployment) run(ctx context.Context, config *rest.Config, stdout io.Writer) error {
	all, err := render.Units(tenants.Fleets())
	if err != nil {
		return err
	}
	units := slices.DeleteFunc(all, func(u render.Unit) bool { return u.Fleet != d.fleet.Name })
	if err := d.deploy(ctx, units); err != nil {
		return fmt.Errorf("deploying the fleet %s: %w", d.fleet.Name, err)
	}
	return printRunning(ctx, config, units, stdout)
}

// deploy runs the deploy command on all units. When ctx ends it is given the time to end in order.
func (d deployment) deploy(ctx context.Context, units []render.Unit) error {
	home := filepath.Join(d.dir, "deploy")
	state, temporary := filepath.Join(home, "state"), filepath.Join(home, "tmp")
	for _, dir := range []string{state, temporary} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	environment, err := d.environment(home, units)
	if err != nil {
		return err
	}
	// It is built by itself, for go run would stand between it and an interrupt.
	fmt.Fprintln(d.stderr, "building the deploy command")
	binary := filepath.Join(home, "command")
	compile := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	compile.Dir = filepath.Join("..", "deploy")
	compile.Cancel = func() error { return compile.Process.Signal(os.Interrupt) }
	compile.Stdout, compile.Stderr = d.stderr, d.stderr
	if err := compile.Run(); err != nil {
		return errors.Join(fmt.Errorf("building the deploy command: %w", err), ctx.Err())
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Fprintln(d.stderr, "deploying the fleet", d.fleet.Name)
	cmd := exec.CommandContext(ctx, self, keepCommand, binary, "up", "-fleet", d.fleet.Name, "-state", "file://"+filepath.ToSlash(state))
	cmd.Dir = compile.Dir
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdout, cmd.Stderr = d.stderr, d.stderr
	// In a group of its own, an interrupt at the terminal reaches only this process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	life, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.Cancel = life.Close
	cmd.WaitDelay = graceful + 10*time.Second
	err = cmd.Run()
	if err != nil && ctx.Err() != nil {
		return errDeploying
	}
	return err
}

// environment is what the command has in its environment beside all that this process has.
func (d deployment) environment(home string, units []render.Unit) ([]string, error) {
	values, err := placeholder.Environment(units)
	if err != nil {
		return nil, err
	}
	for variable, file := range map[string]string{"PULUMI_CONFIG_PASSPHRASE": "passphrase", "TENANTRY_MASTER_KEY": "master-key"} {
		if values[variable], err = kept(filepath.Join(home, file)); err != nil {
			return nil, err
		}
	}
	for variable := range values {
		values[variable] = cmp.Or(os.Getenv(variable), values[variable])
	}
	if d.temporary {
		values["TENANTRY_TEMPORARY_STATE"] = "1"
	}
	values["KUBECONFIG"] = d.kubeconfig
	values["PATH"] = d.path
	values["PULUMI_HOME"] = filepath.Join(home, "pulumi")
	values["PULUMI_BACKEND_URL"] = "" // that of the command line, whatever the user's is
	values["TMPDIR"] = filepath.Join(home, "tmp")
	var list []string
	for variable, value := range values {
		list = append(list, variable+"="+value)
	}
	return list, nil
}

// kept is 32 random bytes in base64, the same ones each time that the file is there.
func kept(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return string(data), err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // fails never: it ends the process instead
	text := base64.StdEncoding.EncodeToString(key)
	return text, os.WriteFile(path, []byte(text), 0o600)
}
