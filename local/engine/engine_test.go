package engine_test

import (
	"testing"
)

func TestEngine(t *testing.T) {
	s := newSuite(t)
	platform := spec{}
	w := newWorld(t, s, platform.fleets()[0])
	w.repository(t, trial, platform).must(t, "up")
	for _, test := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"changes", testChanges},
		{"losses", testLosses},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, w) })
	}
}
