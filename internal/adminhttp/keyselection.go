package adminhttp

import (
	"context"
	"fmt"
	"strconv"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

// selection checks which keys of which group are meant.
func (a *API) selection(ctx context.Context, group string, in adminapi.KeySelection) (which fleet.KeySelection, err error) {
	ways := 0
	for _, given := range []bool{len(in.IDs) > 0, in.State != "", in.Filter != nil, in.All} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return which, invalid("ids", "name the keys in one way: by ids, state, filter or all")
	}
	if which.IDs, err = parseKeyIDs(in.IDs); err != nil {
		return which, err
	}
	switch {
	case in.Filter != nil && *in.Filter == adminapi.KeyFilter{}:
		return which, invalid("filter", "names nothing that keys have to fit; send all for every key")
	case in.Filter != nil:
		which.Filter, err = parseKeyFilter("filter.", *in.Filter)
	default:
		which.Filter, err = parseKeyFilter("", adminapi.KeyFilter{State: in.State})
	}
	if err != nil {
		return which, err
	}
	g, err := a.keyGroup(ctx, group)
	which.Group = g.ID
	return which, err
}

func parseKeyIDs(texts []string) (ids []fleet.KeyID, err error) {
	if len(texts) > maxSelected {
		return nil, invalid("ids", fmt.Sprintf("has %d entries; the limit is %d, use a filter for more", len(texts), maxSelected))
	}
	seen := make(map[fleet.KeyID]bool, len(texts))
	for i, text := range texts {
		id, ok := parseID[fleet.KeyID](text)
		if !ok {
			return nil, invalid("ids["+strconv.Itoa(i)+"]", "must be the id of a key, which is a positive number")
		}
		if !seen[id] {
			ids = append(ids, id)
		}
		seen[id] = true
	}
	return ids, nil
}
