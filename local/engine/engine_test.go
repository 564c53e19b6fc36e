// Package engine_test runs the deploy command as people run it: as a process, with Pulumi's engine and Kubernetes
// provider, on a real control plane.
package engine_test

import "testing"

// TestEngine shares what is costly: one control plane for a fleet of small tenants, of which each test has its own.
func TestEngine(t *testing.T) {
	s := newSuite(t)
	platform := spec{}
	w := newWorld(t, s, platform.fleets()[0])
	w.repository(t, trial, platform).must(t, "up")
	t.Run("outages", func(t *testing.T) { testOutages(t, w) }) // disturb whoever is there
	t.Run("at once", func(t *testing.T) {
		for _, test := range []struct {
			name string
			run  func(*testing.T, *world)
		}{
			{"the example fleet", testExample},
			{"kills", testKills},
			{"losses", testLosses},
			{"changes", testChanges},
			{"failures", testFailures},
			{"a full disk", testFullDisk},
			{"output", testOutput},
			{"interrupts", testInterrupts},
			{"a lost state", testLostState},
			{"rings", testRings},
			{"a removed tenant", testRemoved},
			{"Pulumi's own command", testOwnCommand},
			{"refusals", testRefusals},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				test.run(t, w)
			})
		}
	})
	t.Run("no secret is seen", func(t *testing.T) { testSecrets(t, w) }) // of all of the above
}
