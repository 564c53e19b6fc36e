// Package shop is a schema with everything that a schema may have.
package shop

import (
	"time"

	"github.com/tenantry/tenantry/config"
)

// Settings is how the shop runs.
type Settings struct {
	Web struct {
		// Workers and Backlog bound what one replica takes on.
		Workers uint8 `env:"SHOP_WORKERS" envDefault:"4" min:"1"`
		Backlog uint  `env:"SHOP_BACKLOG"`
		Offset  *int8 `env:"SHOP_OFFSET" envDefault:"-3" min:"-100" max:"20"`
		Big     int64 `env:"SHOP_BIG"`
		Upload  int   `env:"SHOP_UPLOAD" envDefault:"1048576" unit:"bytes" min:"1"`
		Gzip    *bool `env:"SHOP_GZIP" envDefault:"true"`
		// Idle ends a session; see "*/5" | `x` <b>.
		//
		// It has a second paragraph.
		Idle    time.Duration          `env:"SHOP_IDLE" envDefault:"30" unit:"min" min:"1"`
		Keep    time.Duration          `env:"SHOP_KEEP" unit:"h"`
		Ratio   float64                `env:"SHOP_RATIO" envDefault:"0.5" min:"0.1" max:"1"`
		Delta   *float64               `env:"SHOP_DELTA" envDefault:"-1.5"`
		Motto   string                 `env:"SHOP_MOTTO" envDefault:"a \"quoted\" $1 */ motto"`
		Color   Color                  `env:"SHOP_COLOR" oneof:"red|dark blue"`
		Origin  config.Derived[string] `env:"SHOP_ORIGIN,required" fact:"edge.url"`
		License config.Secret          `env:"SHOP_LICENSE"` // License is behind its field.
	}
	// Config clashes with a name of Effect.
	Config  Config
	Queue   Queue `env:"SHOP_QUEUE"` // nil is a mistake
	Reports Job   `envPrefix:"SHOP_REPORTS_" defaults:"CRON=0 6 * * 1"`
	Backups Job   `envPrefix:"SHOP_BACKUPS_"`
	Exports Job   `envPrefix:"SHOP_EXPORTS_"`
	Common
	Empty struct{}
}

// Choices lists the queues.
func (Settings) Choices() []config.Choice {
	return []config.Choice{{Word: "in-memory", Variant: Memory{}}, {Word: "nats", Variant: NATS{}}}
}

// Common stands in the settings themselves.
type Common struct {
	Name string `env:"SHOP_NAME" envDefault:""`
}

// Config is a group.
type Config struct {
	Path string `env:"SHOP_CONFIG" preset:"/etc/shop"`
}

// Color is the colour of the shop.
type Color string

// Job is something that runs by the clock.
type Job struct {
	Cron config.Cron `env:"CRON"`
}

// Queue is what carries orders.
//
//sumtype:decl
type Queue interface{ queue() }

// Memory forgets.
type Memory struct{}

// NATS is a server.
type NATS struct {
	Servers string `env:"NATS_SERVERS,required"`
	Auth    Auth
	Depth   int `env:"NATS_DEPTH" envDefault:"10" min:"1" max:"1000"`
}

// Choices lists the ways to sign in.
func (NATS) Choices() []config.Choice {
	return []config.Choice{{Word: "token", Variant: Token{}}, {Word: "user", Variant: User{}}}
}

func (Memory) queue() {}
func (NATS) queue()   {}

// Auth is how to sign in.
type Auth interface{ auth() }

// Token is a token.
type Token struct {
	Token config.Secret `env:"NATS_TOKEN,required"`
}

// User is a user with a password.
type User struct {
	User     string        `env:"NATS_USER,required"`
	Password config.Secret `env:"NATS_PASSWORD"`
}

func (Token) auth() {}
func (User) auth()  {}

// Local returns settings of a type that no declaration of the package names.
func Local() any {
	type local struct {
		A string `env:"A"`
	}
	return local{}
}

// Twice has two fields with one name outside of Go.
type Twice struct {
	URL string `env:"A"`
	Url string `env:"B"`
}

// Text is a type to embed.
type Text string

// Embedding embeds a leaf.
type Embedding struct {
	Text `env:"A"`
}

// Grown is Settings with a setting added.
type Grown struct {
	Settings
	// Added is new.
	Added int `env:"SHOP_ADDED" envDefault:"7" unit:"bytes" min:"1"`
}
