package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testSockets reads the listening sockets of the processes from the kernel's tables. An address is hexadecimal
// there, four bytes at a time in the machine's order.
func testSockets(t *testing.T, pids []int) {
	var owned []string
	for _, pid := range pids {
		links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "socket:[") {
				owned = append(owned, strings.Trim(to, "socket:[]"))
			}
		}
	}
	listening := 0
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line) // number, local address, remote address, state, …, inode
			if len(f) < 10 || !slices.Contains(owned, f[9]) {
				continue
			}
			if state := f[3]; state != "0A" && strings.HasPrefix(filepath.Base(table), "tcp") {
				continue // a connection
			}
			listening++
			address, _, _ := strings.Cut(f[1], ":")
			if ip, err := hex.DecodeString(address); err != nil || len(ip) != 4 || ip[3] != 127 {
				t.Errorf("%s: a socket listens on %s", table, f[1])
			}
		}
	}
	if listening != 3 {
		t.Errorf("%d sockets listen, want those of etcd, of its peers and of the API server", listening)
	}
}
