package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/tenantry/tenantry/deploy/runner"
	"github.com/tenantry/tenantry/gen"
	"github.com/tenantry/tenantry/render"
)

// The names by which the test binary is something else. A repository's commands, whose tenants are code, are then
// built once, with the tests.
const (
	deployCommand = "deploy"
	genCommand    = "gen"
	limitCommand  = "limit"
	languageHost  = "pulumi-language-go"
	oldProvider   = "pulumi-resource-kubernetes"
)

func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case deployCommand:
		os.Exit(runner.Main("golden", fleets()))
	case genCommand:
		os.Exit(gen.Main(fleets()))
	case limitCommand:
		fatal(limited(os.Args[1], os.Args[2:]))
	case languageHost:
		fatal(serve(func(s *grpc.Server) { pulumirpc.RegisterLanguageRuntimeServer(s, host{}) }))
	case oldProvider:
		fatal(serve(func(s *grpc.Server) { pulumirpc.RegisterResourceProviderServer(s, provider{}) }))
	}
	os.Exit(m.Run())
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// specVariable holds the spec of the fleets that a command has.
const specVariable = "TENANTRY_ENGINE_SPEC"

// fleets are those of a command's environment.
func fleets() []render.Fleet {
	var s spec
	if err := json.Unmarshal([]byte(os.Getenv(specVariable)), &s); err != nil {
		fatal(fmt.Errorf("reading %s: %w", specVariable, err))
	}
	return s.fleets()
}

// serve is how a plugin of Pulumi begins: it says on which port it listens.
func serve(register func(*grpc.Server)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	register(s)
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	return s.Serve(l)
}

// A host plays the role of Pulumi's language host for Go, pulumi-language-go, which is no Go module and so cannot be
// built here. It does for one program what that does: it runs a binary that is built already (Pulumi.yaml's
// runtime.options.binary), with the environment by which Pulumi's SDK finds the engine. What the real one does
// beside that, compiling and listing the plugins that go.mod names, nobody asks for here.
type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
}

// program is the variable that tells a host which binary to run.
const programVariable = "TENANTRY_ENGINE_PROGRAM"

func (host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "3.250.0"}, nil
}

func (host) GetRequiredPackages(context.Context, *pulumirpc.GetRequiredPackagesRequest) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{}, nil
}

func (host) Run(ctx context.Context, r *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	config, err := json.Marshal(r.GetConfig())
	if err != nil {
		return nil, err
	}
	keys, err := json.Marshal(r.GetConfigSecretKeys())
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, os.Getenv(programVariable))
	cmd.Dir = r.GetInfo().GetProgramDirectory()
	cmd.Env = append(
		os.Environ(),
		"PULUMI_ORGANIZATION="+r.GetOrganization(), "PULUMI_PROJECT="+r.GetProject(), "PULUMI_STACK="+r.GetStack(),
		"PULUMI_CONFIG="+string(config), "PULUMI_CONFIG_SECRET_KEYS="+string(keys),
		"PULUMI_DRY_RUN="+strconv.FormatBool(r.GetDryRun()), "PULUMI_PARALLEL="+strconv.Itoa(int(r.GetParallel())),
		"PULUMI_MONITOR="+r.GetMonitorAddress(), "PULUMI_ENGINE="+os.Args[len(os.Args)-1],
	)
	if out, err := cmd.CombinedOutput(); err != nil {
		return &pulumirpc.RunResponse{Error: strings.TrimSpace(string(out))}, nil //nolint:nilerr // it is the program's
	}
	return &pulumirpc.RunResponse{}, nil
}

// A provider has a version, and nothing else.
type provider struct {
	pulumirpc.UnimplementedResourceProviderServer
}

const oldVersion = "4.26.0"

func (provider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: oldVersion}, nil
}
