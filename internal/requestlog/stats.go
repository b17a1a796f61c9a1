package requestlog

// Stats are counters since the start, and what waits now.
type Stats struct {
	Source   string // id of the spool
	Recorded int64  // records taken by Record

	Queued       int64 // on their way to the disk
	Held         int64 // in memory because the disk refuses them
	Spooled      int64 // on disk, not yet in the sink
	WaitingBytes int64 // of Held and Spooled

	Delivered int64 // taken by the sink
	Rejected  int64 // refused by the sink as invalid and set aside
	Corrupt   int64 // lost to damage on disk
	Dropped   Drops

	// SinkError is why records are not taken now; empty when they are.
	SinkError string
}

// Drops counts the records that were given up, by reason.
type Drops struct {
	QueueFull   int64 // came faster than they could be written
	SpoolFull   int64 // the sink took none for so long that disk and memory bounds were reached
	WriteFailed int64 // the disk refused them for so long that the memory bound was reached
	Closed      int64 // came after Close
}

// Total is their sum.
func (d Drops) Total() int64 { return d.QueueFull + d.SpoolFull + d.WriteFailed + d.Closed }

// Stats may be called at any time; the numbers are each right but not of one moment.
func (r *Recorder) Stats() Stats {
	q, s, f := r.queue.stats(), r.spool, r.flusher
	held := s.heldCount.Load()
	stats := Stats{
		Source: *s.folder.source.Load(), Recorded: q.taken,
		Queued: q.waiting, Held: held, Spooled: max(0, s.waiting.Load()-held), WaitingBytes: s.waitingBytes.Load(),
		Delivered: f.delivered.Load(), Rejected: f.rejects.count.Load(), Corrupt: s.corrupt.Load(),
		Dropped: Drops{QueueFull: q.full, SpoolFull: s.dropFull.Load(), WriteFailed: s.dropWrite.Load(), Closed: q.closed},
	}
	if text := f.failing.Load(); text != nil {
		stats.SinkError = *text
	}
	return stats
}
