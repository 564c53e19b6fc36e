package config_test

import (
	"fmt"
	"time"

	"github.com/tenantry/tenantry/config"
)

// Shop is the schema of an application that package config has never seen.
type Shop struct {
	Web struct {
		Origin  config.Derived[string] `env:"SHOP_ORIGIN" fact:"edge.url"`
		Workers int                    `env:"SHOP_WORKERS" envDefault:"4" min:"1"`
		Timeout time.Duration          `env:"SHOP_TIMEOUT_SECONDS" envDefault:"60" unit:"s" min:"1"`
		Gzip    *bool                  `env:"SHOP_GZIP" envDefault:"true"`
	}
	Queue   Queue         `env:"SHOP_QUEUE" envDefault:"memory"`
	Stripe  config.Secret `env:"STRIPE_KEY,required"`
	Reports Job           `envPrefix:"SHOP_REPORTS_" defaults:"CRON=0 6 * * 1"`
}

type Job struct {
	Cron config.Cron `env:"CRON"`
}

type Queue interface{ queue() }

type Memory struct{}

type NATS struct {
	Servers string        `env:"NATS_SERVERS,required"`
	Token   config.Secret `env:"NATS_TOKEN"`
}

func (Memory) queue() {}
func (NATS) queue()   {}

func (Shop) Choices() []config.Choice {
	return []config.Choice{{Word: "memory", Variant: Memory{}}, {Word: "nats", Variant: NATS{}}}
}

func Example() {
	// Infrastructure: a tenant's settings become its environment.
	tenant := Shop{Queue: NATS{Servers: "nats://queue:4222", Token: config.Provided()}}
	tenant.Web.Timeout = 2 * time.Minute
	tenant.Web.Gzip = new(false)

	p, err := config.Project(tenant)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, plain := range p.Plain {
		fmt.Println("plain ", plain.Name, plain.Value)
	}
	for _, secret := range p.Secrets {
		fmt.Println("secret", secret.Name)
	}
	for _, fact := range p.Facts {
		fmt.Println("fact  ", fact.Name, fact.Fact)
	}

	// Application: the same struct, read back.
	var shop Shop
	err = config.Load(&shop, map[string]string{
		"SHOP_GZIP": "false", "SHOP_QUEUE": "nats", "SHOP_TIMEOUT_SECONDS": "120", "NATS_SERVERS": "nats://queue:4222",
		"NATS_TOKEN": "s3cr3t", "STRIPE_KEY": "s3cr3t", "SHOP_ORIGIN": "https://shop.example.com",
	})
	fmt.Println(err, shop.Web.Origin.Get(), shop.Web.Workers, shop.Web.Timeout, *shop.Web.Gzip, shop.Reports.Cron)
	fmt.Printf("%T %+v %v\n", shop.Queue, shop.Queue, shop.Stripe)

	// Mistakes come all at once, by name and never by value.
	fmt.Println(config.Load(&shop, map[string]string{"SHOP_QUEUE": "nats", "SHOP_WORKERS": "many", "SHOP_REPORTS_CRON": "@daily"}))

	// Output:
	// plain  NATS_SERVERS nats://queue:4222
	// plain  SHOP_GZIP false
	// plain  SHOP_QUEUE nats
	// plain  SHOP_TIMEOUT_SECONDS 120
	// secret NATS_TOKEN
	// secret STRIPE_KEY
	// fact   SHOP_ORIGIN edge.url
	// <nil> https://shop.example.com 4 2m0s false 0 6 * * 1
	// config_test.NATS {Servers:nats://queue:4222 Token:[redacted]} [redacted]
	// web.workers (SHOP_WORKERS): must be an integer in range
	// queue.servers (NATS_SERVERS): is required
	// stripe (STRIPE_KEY): is required
	// reports.cron (SHOP_REPORTS_CRON): must be a schedule of five fields: minute hour day month weekday
}
