package runner

import (
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

var update = flag.Bool("update", false, "write testdata/graph")

const canary = "CANARY-51d0c2"

// recorder is the engine's place taken: it writes down what is registered.
type recorder struct {
	mu    sync.Mutex
	lines []string
	plain []string // strings that are not marked secret
}

func (r *recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rpc := args.RegisterRPC
	var depends []string
	for _, urn := range rpc.GetDependencies() {
		depends = append(depends, urn[strings.LastIndex(urn, "::")+2:])
	}
	slices.Sort(depends)
	line := args.TypeToken + " " + args.Name
	if context, ok := args.Inputs["context"]; ok {
		line += "\n  through the context " + context.StringValue()
	}
	if rpc.GetProtect() {
		line += "\n  protected"
	}
	if secret := rpc.GetAdditionalSecretOutputs(); len(secret) > 0 {
		line += "\n  secret " + strings.Join(secret, ", ")
	}
	if len(depends) > 0 {
		line += "\n  after " + strings.Join(depends, ", ")
	}
	r.lines = append(r.lines, line+"\n")
	r.look(resource.NewProperty(args.Inputs))
	return args.Name, args.Inputs, nil
}

func (*recorder) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return resource.PropertyMap{}, nil
}

func (r *recorder) look(v resource.PropertyValue) {
	switch {
	case v.IsString():
		r.plain = append(r.plain, v.StringValue())
	case v.IsArray():
		for _, item := range v.ArrayValue() {
			r.look(item)
		}
	case v.IsObject():
		for _, item := range v.ObjectValue() {
			r.look(item)
		}
	}
}

// filled is the environment of somebody who has every secret.
func filled() *filler {
	return &filler{lacking: map[string]bool{}, lookup: func(name string) (string, bool) {
		if name == MasterKey {
			return base64.StdEncoding.EncodeToString([]byte(canary + canary + "123456")[:32]), true
		}
		return canary + name, true
	}}
}

func units(t *testing.T) []render.Unit {
	t.Helper()
	units, err := render.Units(tenants.Fleets())
	if err != nil {
		t.Fatal(err)
	}
	return units
}

func TestRegistrationGraph(t *testing.T) {
	for _, unit := range units(t) {
		if pulled(unit.Delivery) {
			continue // nothing of it is registered
		}
		t.Run(unit.Fleet+"."+unit.Name, func(t *testing.T) {
			secrets, err := filled().fill(unit)
			if err != nil {
				t.Fatal(err)
			}
			r := &recorder{}
			if err := pulumi.RunErr(program(unit, render.Fleet{}, secrets[unit.Name]), pulumi.WithMocks("tenantry", unit.Fleet+"."+unit.Name, r)); err != nil {
				t.Fatal(err)
			}
			slices.Sort(r.lines)
			got := strings.Join(r.lines, "")
			path := filepath.Join("testdata", "graph", unit.Fleet+"."+unit.Name+".txt")
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the registration is not %s; look at it and run: go -C deploy test ./runner -update\n%s", path, got)
			}
			for _, text := range r.plain {
				if strings.Contains(text, canary) {
					t.Errorf("a secret is registered in plain text: %s", fmt.Sprintf("%.20s…", text))
				}
			}
		})
	}
}
