package requestlog

import "gpt-load/internal/fleet"

// Batch is a run of records of one spool, in the order in which they were recorded.
type Batch struct {
	// Source is the spool's id: random, made once for each spool folder.
	Source string
	// Position is the sequence number of the last record that the batch covers. A sink whose stored position
	// of this source is at or past it has the batch already and does nothing.
	Position int64
	// Records are at most MaxBatchRecords. The sink may read them only until it returns: they are reused.
	// Their number may be smaller than the step of Position: what could not be kept is left out.
	Records []fleet.RequestRecord
}
