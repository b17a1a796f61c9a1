package audit

import (
	"context"

	"gpt-load/internal/fleet"
)

// ActorKind says how whoever did something was known.
type ActorKind string

// The kinds of actors.
const (
	AuthKey   ActorKind = "auth_key"  // sent AUTH_KEY as bearer
	Session   ActorKind = "session"   // logged in with a browser
	Anonymous ActorKind = "anonymous" // had no valid AUTH_KEY
	Command   ActorKind = "command"   // ran a command on the database itself
	System    ActorKind = "system"    // nobody: a verdict, a validation, a job
)

// ActorKinds lists all kinds.
var ActorKinds = []ActorKind{AuthKey, Session, Anonymous, Command, System}

// Automatic reports whether events of the actor come by themselves, in numbers that nobody decided on.
func (k ActorKind) Automatic() bool { return k == System || k == Anonymous }

// Actor is who did something.
type Actor struct {
	Who       ActorKind
	ClientIP  string
	Session   string // of a session, the beginning of its id
	RequestID string // as in the answer and the log
}

// SessionName is what events call a session: enough of its id to tell it from others.
func SessionName(id string) string {
	const shown = 8
	return id[:min(len(id), shown)]
}

type actorKey struct{}

// WithActor says who acts within a context.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf returns who acts; the system where nobody was named.
func ActorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	if a.Who == "" {
		a.Who = System
	}
	return a
}

// Undoing is an undo under way.
type Undoing struct {
	Of  ID
	ids []ID
}

// Issue notes an event that the undo writes. It is not safe for concurrent use.
func (u *Undoing) Issue(id ID) { u.ids = append(u.ids, id) }

// Issued reports whether an event is one of this undo's own.
func (u *Undoing) Issued(id ID) bool {
	for _, own := range u.ids {
		if own == id {
			return true
		}
	}
	return false
}

type undoingKey struct{}

// WithUndo says that what is changed within a context undoes an event. The first change claims the event: of two undos, one
// finds it undone, as CodeConflict.
func WithUndo(ctx context.Context, of ID) context.Context {
	return context.WithValue(ctx, undoingKey{}, &Undoing{Of: of})
}

// UndoingOf returns the undo that a context is part of, or nil.
func UndoingOf(ctx context.Context) *Undoing {
	u, _ := ctx.Value(undoingKey{}).(*Undoing)
	return u
}

// ErrUndone says that somebody was quicker.
func ErrUndone(by ID) error {
	return fleet.NewError(fleet.CodeConflict, "the event was undone before, by event "+by.String(), nil)
}
