// Package config makes one Go struct serve both sides of a deployment: the
// infrastructure that provides an application's environment and the
// application that reads it. It knows no application; an application brings a
// schema.
//
// A schema is a struct of group structs, nested to any depth, whose leaves are
// exported fields with tags. Nothing but env is required of a leaf:
//
//	env:"NAME"             the environment variable; ",required" (or
//	                       ",notEmpty") when the application cannot start without
//	envDefault:"5"         the application's own default, "" included
//	preset:"production"    what infrastructure writes when a tenant sets nothing,
//	                       where that should differ from the application's default
//	fact:"edge.url"        the value comes from what infrastructure creates
//	fact:"cache.enabled,true=redis,false=memory"
//	                       the same, a boolean put into the application's words
//	oneof:"a|b|c"          the allowed words of a string
//	min:"0" max:"10"       inclusive bounds of a number, in its unit on the wire
//	unit:"ms"              the wire unit of a time.Duration (ms, s, min, h, days),
//	                       written there as an integer; of an integer, "bytes"
//
// A leaf is a string, bool, integer, float, time.Duration, [Cron] or [Secret],
// or a type declared as one of the first four. At its zero value a leaf is
// unset. Where zero is a value of its own (false over a default of true, 0 over
// a default of 5) the leaf is a pointer, and Load never leaves one with a
// default nil. A leaf of type [Derived] has a fact that no tenant can overrule;
// any other leaf with a fact may still be set by hand.
//
// Names are unique over the whole schema. An empty variable means an unset one.
// A group may carry envPrefix:"PURGE_LOGS_", put before every name in it, and
// defaults:"CRON=0 3 * * 0;DAYS=365", which overrules their envDefault, so that
// one group type can stand several times.
//
// A choice between variants is a field of an interface type; its struct lists
// the variants (see [Chooser]). With env the variable names the variant, and
// envDefault is the word the application assumes. Without env the application
// tells the variants apart by what it is given: each has exactly one required
// leaf, and exactly one of those must be provided. A nil interface means the
// variant named by preset, else by envDefault, with nothing set in it.
//
// [Project], [Load] and [Settings] share one reading of the schema and each
// report everything wrong with it. No error holds a value.
package config

import "cmp"

// Error is one mistake. Path is where it stands in the settings, such as
// auth.maxSessionsPerUser, or empty for the settings as a whole; Name is the
// environment variable, if it has one. Problem never quotes a value.
type Error struct {
	Path    string
	Name    string
	Problem string
}

func (e *Error) Error() string {
	switch {
	case e.Path == "":
		return cmp.Or(e.Name, "settings") + ": " + e.Problem
	case e.Name == "":
		return e.Path + ": " + e.Problem
	}
	return e.Path + " (" + e.Name + "): " + e.Problem
}

// Chooser is implemented by a struct with interface fields: the variants that
// may stand in them, each in the field whose interface it implements.
type Chooser interface {
	Choices() []Choice
}

// Choice is one variant, a struct value, and the word that names it in tags
// and in the field's environment variable.
type Choice struct {
	Word    string
	Variant any
}
