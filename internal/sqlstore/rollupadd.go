package sqlstore

import (
	"time"

	"gpt-load/internal/fleet"
)

// recordSums is what a batch adds to what is counted.
type recordSums struct {
	hours, minutes, attempts statTotals
	usage                    map[int64]*usageRow
	minutesFrom              int64 // older records are not counted by the minute
	full                     *fullTimes
}

func newRecordSums(full *fullTimes) recordSums {
	return recordSums{
		full:  full,
		hours: make(statTotals), minutes: make(statTotals), attempts: make(statTotals), usage: make(map[int64]*usageRow),
		minutesFrom: micros(now().Add(-fleet.MinutesKept)),
	}
}

// add adds a record whose row is row.
func (s *recordSums) add(row *recordRow, r *fleet.RequestRecord) {
	key := statKey{GroupID: row.GroupID, ParentID: row.ParentID, Model: clean(row.ModelSent, rollUpModel), ProxyKey: row.ProxyKey}
	total := statTotal{statSums: statSums{
		Requests: 1, Retries: int64(max(row.AttemptCount-1, 0)), RequestBytes: max(r.RequestBytes, 0), ResponseBytes: max(r.ResponseBytes, 0),
		Duration: spanOf(r.Duration),
	}}
	*total.family(fleet.Class(row.Class))++
	if row.Stream {
		total.Streams++
	}
	took, first := bucketOf(r.Duration), uint8(0)
	if span := spanOf(r.TimeToFirstByte); span > 0 {
		total.FirstBytes, total.FirstByte = 1, span
		first = bucketOf(r.TimeToFirstByte)
	}
	count := func(into *statTotal) {
		into.statSums.add(&total.statSums)
		into.durations.add(took, 1)
		if total.FirstBytes > 0 {
			into.firstBytes.add(first, 1)
		}
	}
	key.Start = row.StartedAt - row.StartedAt%hour
	count(s.hours.at(s.full.row(&hourlyStats, key)))
	if row.StartedAt >= s.minutesFrom {
		key.Start = row.StartedAt - row.StartedAt%minute
		count(s.minutes.at(s.full.row(&minuteStats, key)))
	}
	s.addAttempts(row, r, &total.statSums)
	addUsage(s.usage, r)
}

// addAttempts counts each attempt for its key, and what the client got for the key of the last one.
func (s *recordSums) addAttempts(row *recordRow, r *fleet.RequestRecord, all *statSums) {
	attempts := r.Attempts[:min(len(r.Attempts), maxAttempts)]
	for i := range attempts {
		a := &attempts[i]
		if a.KeyID <= 0 {
			continue
		}
		group := int64(a.GroupID)
		if group == 0 {
			group = row.GroupID
		}
		key := statKey{Start: row.StartedAt - row.StartedAt%hour, GroupID: group, KeyID: int64(a.KeyID)}
		total := s.attempts.at(s.full.row(&keyStats, key))
		total.Requests++
		*total.family(a.Class)++
		total.Streams += all.Streams
		if i > 0 {
			total.Retries++
		}
		total.Duration += spanOf(a.Duration)
		total.durations.add(bucketOf(a.Duration), 1)
		if i < len(attempts)-1 {
			continue
		}
		total.RequestBytes += all.RequestBytes
		total.ResponseBytes += all.ResponseBytes
		if all.FirstBytes > 0 {
			total.FirstBytes++
			total.FirstByte += all.FirstByte
			total.firstBytes.add(bucketOf(time.Duration(all.FirstByte)*time.Microsecond), 1)
		}
	}
}
