package verify

import "testing"

// TestAddressesInWords has ranges that two rules open: what passes to them alike is told once, and ranges side by side
// are one.
func TestAddressesInWords(t *testing.T) {
	https, redis := traffic{tcp: ports{{443, 443}}}, traffic{tcp: ports{{6379, 6379}}}
	rest := stretch{areas: []area{{cidrs("10.80.0.33/32"), redis}, {cidrs("192.0.2.0/24"), https}, {cidrs("10.80.0.32/32"), redis}, {cidrs("10.80.0.0/28"), redis}}}
	const want = "api in acme now reaches private addresses: 10.80.0.0/28, 10.80.0.32/31 TCP 6379, 192.0.2.0/24 TCP 443"
	if got := (route{sender: "acme", pod: "api", where: OutsideWorld, what: "private"}).inWords("now reaches", rest); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
