package review

import "github.com/tenantry/tenantry/verify"

// weighs tells whether a change of an object can change what anything in the fleet reaches or may do, so that the
// whole fleet has to be evaluated.
func weighs(before, after *object, fields []Field) bool { return false }

// A shift is what evaluating a whole fleet before and after says of an object: it is a change of isolation or of
// exposure.
type shift struct {
	unit, object string // kind and name: "NetworkPolicy/api"
	ruling
}

// evaluate compares what a fleet lets happen before and after. The units that matter to it and have not changed are
// the same in both. was and is are who reaches whom; nil when that stays the same.
func evaluate(before, after *verify.Fleet) (shifts []shift, was, is *verify.Reachability) {
	return nil, nil, nil
}
