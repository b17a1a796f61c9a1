// Package metrics is what Prometheus sees of a node: every metric with its closed set of labels.
//
// # Bounds
//
// No label takes a value that a client chooses: not a model, not a path, not a key. Groups are the only ones that grow, and
// an operator names them. The first MaxGroups of them, in their order of display, have series of their own; the others
// are summed under the group "(other)", which no group can be called. Series that appear only with their first event
// come out of one allowance besides; when it is used up, further ones count for "(other)", too. So there are at most MaxSeries,
// whatever happens, and every sum stays right.
//
// # Cost
//
// A group's counters are made once and found through an atomic pointer and one map: a proxied request takes no lock here,
// allocates nothing, and shares with others only the counters' own atomic words. What the node knows anyway (records that
// wait, keys by state, revisions) is read when somebody scrapes, and never earlier.
package metrics
