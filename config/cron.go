package config

import (
	"strings"

	"github.com/robfig/cron/v3"
)

// Cron is a schedule of the five plain fields minute, hour, day of month,
// month and day of week, a single space between them. Descriptors such as
// @daily and time zones are refused: not every reader knows them.
type Cron string

func (c Cron) valid() bool {
	fields := strings.Fields(string(c))
	// Before the parser, which takes @daily and "TZ=UTC 0 3 * * *", and panics on a lone TZ=.
	if len(fields) != 5 || strings.Join(fields, " ") != string(c) {
		return false
	}
	_, err := cron.ParseStandard(string(c))
	return err == nil
}
