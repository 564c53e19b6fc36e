package placeholder

import (
	"crypto/tls"
	"testing"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

func TestEnvironment(t *testing.T) {
	units, err := render.Units(tenants.Fleets())
	if err != nil {
		t.Fatal(err)
	}
	values, err := Environment(units)
	if err != nil {
		t.Fatal(err)
	}
	if got := values["ACME__BACKUP_SECRET_KEY"]; got != Value {
		t.Errorf("%q, want %q", got, Value)
	}
	if _, err := tls.X509KeyPair([]byte(values["INITECH__EDGE_TLS_CRT"]), []byte(values["INITECH__EDGE_TLS_KEY"])); err != nil {
		t.Errorf("a certificate that is none: %v", err)
	}
}
