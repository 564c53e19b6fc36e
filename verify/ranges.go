package verify

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A point is a port or an address: Compare orders all of them, Next and Prev step over one. [netip.Addr] is
// one as it is.
type point[P any] interface {
	comparable
	Compare(P) int
	Next() P
	Prev() P
}

type port int32

func (p port) Compare(q port) int { return cmp.Compare(p, q) }
func (p port) Next() port         { return p + 1 }
func (p port) Prev() port         { return p - 1 }

// An interval holds its first and its last point, and all between them. Both are of one family.
type interval[P point[P]] struct{ first, last P }

// A set is an exact set of points: intervals in order, of which no two meet.
type set[P point[P]] []interval[P]

type (
	ports     = set[port]
	addresses = set[netip.Addr]
)

var (
	everyPort    = ports{{1, 65535}}
	everyAddress = prefixes(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"))
)

// setOf is the set of all points of the intervals.
func setOf[P point[P]](intervals ...interval[P]) set[P] {
	slices.SortFunc(intervals, func(a, b interval[P]) int { return a.first.Compare(b.first) })
	var out set[P]
	for _, i := range intervals {
		if n := len(out); n > 0 && (i.first.Compare(out[n-1].last) <= 0 || i.first == out[n-1].last.Next()) {
			if i.last.Compare(out[n-1].last) > 0 {
				out[n-1].last = i.last
			}
			continue
		}
		out = append(out, i)
	}
	return out
}

func (s set[P]) union(t set[P]) set[P] {
	switch {
	case len(s) == 0:
		return t
	case len(t) == 0:
		return s
	}
	return setOf(slices.Concat(s, t)...)
}

func (s set[P]) intersect(t set[P]) set[P] {
	var out set[P]
	for i, j := 0, 0; i < len(s) && j < len(t); {
		first, last := s[i].first, s[i].last
		if t[j].first.Compare(first) > 0 {
			first = t[j].first
		}
		if t[j].last.Compare(last) < 0 {
			last = t[j].last
		}
		if first.Compare(last) <= 0 {
			out = append(out, interval[P]{first, last})
		}
		if s[i].last.Compare(t[j].last) < 0 {
			i++
		} else {
			j++
		}
	}
	return out
}

func (s set[P]) minus(t set[P]) set[P] {
	var out set[P]
	j := 0
	for _, i := range s {
		for j < len(t) && t[j].last.Compare(i.first) < 0 {
			j++
		}
		rest := true
		for k := j; k < len(t) && t[k].first.Compare(i.last) <= 0; k++ {
			if t[k].first.Compare(i.first) > 0 {
				out = append(out, interval[P]{i.first, t[k].first.Prev()})
			}
			if t[k].last.Compare(i.last) >= 0 {
				rest = false
				break
			}
			i.first = t[k].last.Next()
		}
		if rest {
			out = append(out, i)
		}
	}
	return out
}

// prefixes is the set of the addresses of address ranges.
func prefixes(list ...netip.Prefix) addresses {
	intervals := make([]interval[netip.Addr], len(list))
	for i, p := range list {
		p = p.Masked()
		last := p.Addr().AsSlice()
		for bit := p.Bits(); bit < len(last)*8; bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		end, _ := netip.AddrFromSlice(last)
		intervals[i] = interval[netip.Addr]{p.Addr(), end}
	}
	return setOf(intervals...)
}

func cidrs(list ...string) addresses {
	parsed := make([]netip.Prefix, len(list))
	for i, s := range list {
		parsed[i] = netip.MustParsePrefix(s)
	}
	return prefixes(parsed...)
}

// rangesOf lists at most some of the ranges of a set of addresses: "10.0.0.0/8, 192.0.2.1-192.0.2.9".
func rangesOf(s addresses) string {
	const most = 4
	var list []string
	for _, i := range s[:min(len(s), most)] {
		bits := 0
		for a, b := i.first.AsSlice(), i.last.AsSlice(); bits < len(a)*8 && (a[bits/8]^b[bits/8])<<(bits%8)&0x80 == 0; {
			bits++
		}
		switch p := netip.PrefixFrom(i.first, bits); {
		case len(prefixes(p).minus(addresses{i})) > 0 || p.Masked().Addr() != i.first:
			list = append(list, i.first.String()+"-"+i.last.String())
		case p.IsSingleIP():
			list = append(list, i.first.String())
		default:
			list = append(list, p.String())
		}
	}
	if len(s) > most {
		list = append(list, fmt.Sprintf("%d more ranges", len(s)-most))
	}
	return strings.Join(list, ", ")
}

// A protocol indexes a traffic.
type protocol int

const (
	tcp protocol = iota
	udp
	sctp
)

var protocolNames = [...]string{tcp: "TCP", udp: "UDP", sctp: "SCTP"}

// traffic is the destination ports of each protocol. Network policies know no other protocols: what becomes
// of ICMP is up to the network plugin.
type traffic [3]ports

var everything = traffic{everyPort, everyPort, everyPort}

func (t traffic) union(u traffic) traffic {
	for i := range t {
		t[i] = t[i].union(u[i])
	}
	return t
}

func (t traffic) intersect(u traffic) traffic {
	for i := range t {
		t[i] = t[i].intersect(u[i])
	}
	return t
}

func (t traffic) minus(u traffic) traffic {
	for i := range t {
		t[i] = t[i].minus(u[i])
	}
	return t
}

func (t traffic) none() bool { return len(t[tcp])+len(t[udp])+len(t[sctp]) == 0 }

// String says for example "TCP 443, 8000-8999; UDP 53".
func (t traffic) String() string {
	var parts []string
	whole := 0
	for p, set := range t {
		if len(set) == 0 {
			continue
		}
		list := make([]string, len(set))
		for i, r := range set {
			list[i] = strconv.Itoa(int(r.first))
			if r.last != r.first {
				list[i] += "-" + strconv.Itoa(int(r.last))
			}
		}
		if slices.Equal(set, everyPort) {
			list = []string{"on every port"}
			whole++
		}
		parts = append(parts, protocolNames[p]+" "+strings.Join(list, ", "))
	}
	switch {
	case whole == len(t):
		return "every port"
	case len(parts) == 0:
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

// MarshalText is String.
func (t traffic) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// An area is traffic to or from some addresses.
type area struct {
	addresses addresses
	traffic   traffic
}

// without is what is left of areas when others are taken away.
func without(areas, others []area) []area {
	for _, o := range others {
		var rest []area
		for _, a := range areas {
			if outer := (area{a.addresses.minus(o.addresses), a.traffic}); len(outer.addresses) > 0 {
				rest = append(rest, outer)
			}
			if inner := (area{a.addresses.intersect(o.addresses), a.traffic.minus(o.traffic)}); len(inner.addresses) > 0 && !inner.traffic.none() {
				rest = append(rest, inner)
			}
		}
		areas = rest
	}
	return areas
}
