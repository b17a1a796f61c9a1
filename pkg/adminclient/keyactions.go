package adminclient

import (
	"context"
	"fmt"
	"net/http"

	"gpt-load/pkg/adminapi"
)

// TestKeys tests up to 100 keys now.
func (c *Client) TestKeys(ctx context.Context, group string, ids ...string) (adminapi.KeyTests, error) {
	return c.TestSelectedKeys(ctx, group, adminapi.KeySelection{IDs: ids})
}

// TestSelectedKeys tests keys: up to 100 at once, more by the operation that the answer names.
func (c *Client) TestSelectedKeys(ctx context.Context, group string, which adminapi.KeySelection) (adminapi.KeyTests, error) {
	return call[adminapi.KeyTests](ctx, c, keyAction(group, adminapi.ActionTest, which))
}

// ChangeKeys does an action on keys, which is adminapi.ActionDisable, ActionEnable, ActionRestore or ActionDelete: on few before it
// returns, on more by the operation that the answer names. Of a dry run it only tells what it would be about.
func (c *Client) ChangeKeys(ctx context.Context, group, action string, which adminapi.KeySelection) (adminapi.KeysChanged, error) {
	return call[adminapi.KeysChanged](ctx, c, keyAction(group, action, which))
}

// ResetCooldowns ends rests of active keys as ChangeKeys changes them.
func (c *Client) ResetCooldowns(ctx context.Context, group string, which adminapi.CooldownReset) (adminapi.KeysChanged, error) {
	return call[adminapi.KeysChanged](ctx, c, keyAction(group, adminapi.ActionResetCooldowns, which))
}

// SetKeys sets weight, notes and tags of keys, as ChangeKeys changes them.
func (c *Client) SetKeys(ctx context.Context, group string, values adminapi.KeyValues) (adminapi.KeysChanged, error) {
	return call[adminapi.KeysChanged](ctx, c, keyAction(group, adminapi.ActionSet, values))
}

// RestoreKeys makes invalid keys active again and ends the rests of active ones. It waits for the end, also of an operation, and
// returns how many it changed.
func (c *Client) RestoreKeys(ctx context.Context, group string, which adminapi.KeySelection) (int, error) {
	return c.changed(ctx, group, adminapi.ActionRestore, which)
}

// EnableKeys makes disabled keys active again. It waits for the end, also of an operation, and returns how many it changed.
func (c *Client) EnableKeys(ctx context.Context, group string, which adminapi.KeySelection) (int, error) {
	return c.changed(ctx, group, adminapi.ActionEnable, which)
}

// DisableKeys takes keys out until they are enabled. It waits for the end, also of an operation, and returns how many it changed.
func (c *Client) DisableKeys(ctx context.Context, group string, which adminapi.KeySelection) (int, error) {
	return c.changed(ctx, group, adminapi.ActionDisable, which)
}

// DeleteKeys deletes keys for good. It waits for the end, also of an operation, and returns how many.
func (c *Client) DeleteKeys(ctx context.Context, group string, which adminapi.KeySelection) (int, error) {
	return c.changed(ctx, group, adminapi.ActionDelete, which)
}

func keyAction(group, action string, body any) request {
	return request{method: http.MethodPost, path: at("groups", group, "keys", action), json: body}
}

// changed waits for the operation that an action may have become.
func (c *Client) changed(ctx context.Context, group, action string, which adminapi.KeySelection) (int, error) {
	done, err := c.ChangeKeys(ctx, group, action, which)
	if err != nil || done.Operation == nil {
		return done.Changed, err
	}
	o, err := c.WaitOperation(ctx, done.Operation.ID, nil)
	if err == nil && o.State != adminapi.OperationSucceeded {
		err = fmt.Errorf("adminclient: operation %s is %s: %s", o.ID, o.State, o.Error)
	}
	return int(o.Done), err
}
