package sqlstore

import "context"

// HistogramSizes counts what the histograms of the hours hold: durations and times to the first byte.
func (s *Store) HistogramSizes(ctx context.Context) (sizes [2]int64, err error) {
	var rows []storedHistogram
	err = s.reader.NewSelect().TableExpr(hourlyStats.name).Column(histogramColumns...).Scan(ctx, &rows)
	for _, row := range rows {
		for i, stored := range [][]byte{row.Durations, row.FirstBytes} {
			eachBucket(stored, func(_ int, count uint64) { sizes[i] += int64(count) })
		}
	}
	return sizes, err
}

// ForgetBatches forgets what the tail of records is made of, as time does.
func (s *Store) ForgetBatches(ctx context.Context) error {
	_, err := s.writer.NewDelete().Model((*batchRow)(nil)).Where("1 = 1").Exec(ctx)
	return err
}
