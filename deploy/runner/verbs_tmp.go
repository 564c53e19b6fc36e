package runner

import (
	"context"
	"errors"
	"io"

	"github.com/tenantry/tenantry/render"
)

func (c *call) drift(context.Context, []render.Unit, []render.Unit, io.Writer) error {
	return errors.New("drift is not there yet")
}

func (c *call) recoverAll(context.Context, []render.Unit) error {
	return errors.New("recover is not there yet")
}

func unhealthy(context.Context, *call, []string) ([]string, error) { return nil, nil }
