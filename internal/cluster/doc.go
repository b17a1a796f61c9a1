// Package cluster says what joins the nodes of a fleet: who leads, what they tell each other, and who is there. The
// implementations for a node that is alone stand here; those over Redis are in package rediscluster. One suite tests both.
//
// Nothing that a request needs goes through this package. The database is the truth and every message a hint, so no
// implementation keeps messages for those who are away.
//
//	failure                         what a user of the ports sees                     what it does about it
//	whatever joins the nodes away   errors at the deadline; nobody leads after 5 s    serves on, polls the database
//	the leader dies or hangs        another one leads within 10 s                     nothing
//	two lead for a moment           each believes that it leads                       jobs are harmless when done twice
//	a message is lost               nothing, or subscribed is called                  polls; looks at the database
//	a receiver is too slow          subscribed is called, messages are missing        looks at the database
//	a node dies                     it is a member for 15 s more                      shows when it was last seen
//	clocks of nodes differ          SentAt is by the sender's clock                   shifts the times in a message
package cluster
