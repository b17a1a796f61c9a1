// Package cluster says what joins the nodes of a fleet: who leads, what they tell each other, and who is there. The
// implementations for a node that is alone stand here; those over Redis are in package rediscluster.
//
// Nothing that a request needs goes through this package. The database is the truth and every message a hint: one
// that is lost is made up for by a poll, so no implementation keeps messages for those who are away.
package cluster
