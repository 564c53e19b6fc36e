package review_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tenantry/tenantry/local/build"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/review"
	"github.com/tenantry/tenantry/verify/schema"
)

// TestProvider changes, adds and removes every field of Kubernetes' own kinds that the fleets render, and of some others,
// and asks the provider which of that makes it replace the object. That is what package review has to foresee, and
// nothing else. The provider compares what it is told; it needs no API server for it.
func TestProvider(t *testing.T) {
	published := readSchemas(t)
	known, err := schema.For(schema.Newest())
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	const nowhere = `{"apiVersion":"v1","kind":"Config","current-context":"x","contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}],
		"clusters":[{"name":"x","cluster":{"server":"https://127.0.0.1:1"}}],"users":[{"name":"x","user":{}}]}`
	if err := os.WriteFile(kubeconfig, []byte(nowhere), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newProvider(t, kubeconfig)
	kinds, fields, changes, replaced := map[string]bool{}, map[string]bool{}, 0, 0
	missed := map[string]bool{}
	for i, s := range append(readGolden(t), others()...) {
		s.rename(i)
		if published.kinds[s.gvk()] == nil {
			continue // a custom resource, of which the provider replaces none
		}
		for _, m := range published.mutations(s) {
			name, done := s.gvk().Kind+" "+m.field, false
			for _, changed := range m.trees {
				if len(known.Validate(changed)) > 0 {
					continue
				}
				done = true
				after, err := render.Encode(&unstructured.Unstructured{Object: changed})
				if err != nil {
					t.Fatal(err)
				}
				because, err := p.replaces(t.Context(), s.live, s.tree, changed)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				foreseen, err := review.Foresee(s.text, after)
				if err != nil {
					t.Fatal(err)
				}
				if (len(because) > 0) != (foreseen == review.Replaces) {
					t.Errorf("%s, %s: foreseen %s, and the provider replaces it for %q", name, m.how, foreseen, because)
				}
				kinds[s.gvk().Kind], fields[name] = true, true
				changes++
				if len(because) > 0 {
					replaced++
				}
				break
			}
			if !done {
				missed[name] = true
			}
		}
	}
	maps.DeleteFunc(missed, func(name string, _ bool) bool { return fields[name] })
	t.Logf("%d kinds, %d fields, %d changes, of which %d replace; no value was found for %d fields: %s",
		len(kinds), len(fields), changes, replaced, len(missed), strings.Join(slices.Sorted(maps.Keys(missed)), ", "))
	if len(fields) < 1000 || replaced < 50 {
		t.Error("that is less than there is")
	}
}

// A provider is Pulumi's Kubernetes provider as its engine runs it: a process that is asked over gRPC.
type provider struct {
	client pulumirpc.ResourceProviderClient
}

// engine takes what a provider logs.
type engine struct {
	pulumirpc.UnimplementedEngineServer
}

func (engine) Log(context.Context, *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// newProvider starts a provider, configured as package runner of deploy configures it.
func newProvider(t *testing.T, kubeconfig string) *provider {
	t.Helper()
	binary, err := build.ProviderBinary(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pulumirpc.RegisterEngineServer(server, engine{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	// It ends when its standard input does, and so with this process, for whatever reason.
	cmd := exec.Command("sh", "-c", `"$0" "$1" & read -r _; kill $!; wait`, binary, listener.Addr().String())
	temporary := t.TempDir() // it writes the kubeconfig there, with its keys, and leaves it
	cmd.Env = append(os.Environ(), "HOME="+filepath.Join(temporary, "home"), "TMPDIR="+temporary)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	life, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = life.Close()
		_ = cmd.Wait()
	})
	var port int
	if _, err := fmt.Fscanln(out, &port); err != nil {
		t.Fatalf("reading the provider's port: %v", err)
	}
	conn, err := grpc.NewClient("127.0.0.1:"+strconv.Itoa(port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p := &provider{pulumirpc.NewResourceProviderClient(conn)}
	_, err = p.client.Configure(t.Context(), &pulumirpc.ConfigureRequest{AcceptSecrets: true, Variables: map[string]string{ //nolint:staticcheck // the provider reads nothing else
		"kubernetes:config:kubeconfig":             kubeconfig,
		"kubernetes:config:clusterIdentifier":      "tenantry",
		"kubernetes:config:enableConfigMapMutable": "true",
		"kubernetes:config:enableSecretMutable":    "true",
		"kubernetes:config:enableServerSideApply":  "true",
	}}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatalf("configuring the provider: %v", err)
	}
	return p
}

// replaces are the fields because of which the provider would replace a live object, made of the inputs before, by
// what the inputs after make.
func (p *provider) replaces(ctx context.Context, live, before, after tree) ([]string, error) {
	gvk := gvkOf(after)
	if gvk.Group == "" {
		gvk.Group = "core"
	}
	state := clone(live).(tree)
	state["__inputs"] = clone(before)
	state["__initialApiVersion"] = before["apiVersion"]
	state["__fieldManager"] = manager
	olds, err := structpb.NewStruct(state)
	if err != nil {
		return nil, err
	}
	news, err := structpb.NewStruct(after)
	if err != nil {
		return nil, err
	}
	kind := "kubernetes:" + gvk.Group + "/" + gvk.Version + ":" + gvk.Kind
	diff, err := p.client.Diff(ctx, &pulumirpc.DiffRequest{
		Id: "review/" + kind, Urn: "urn:pulumi:review::tenantry::" + kind + "::" + kind, Olds: olds, News: news,
	})
	if err != nil {
		return nil, fmt.Errorf("asking the provider about %s: %w", kind, err)
	}
	return diff.GetReplaces(), nil
}
