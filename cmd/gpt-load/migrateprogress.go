package main

import (
	"time"

	"gpt-load/internal/sqlstore"
	"gpt-load/internal/terminal"
)

// lineEvery is how often progress is told where no bar can be drawn.
const lineEvery = 5 * time.Second

// rekeyProgress shows how far a change has come: a bar on a terminal, otherwise lines.
type rekeyProgress struct {
	app  *app
	step sqlstore.RekeyStep
	bar  *terminal.Progress
	done int64
	told time.Time
}

func (p *rekeyProgress) show(step sqlstore.RekeyStep, done, total int64) {
	if step == sqlstore.RekeyRewriting {
		p.finish()
		p.app.note("%s, so that nothing stays in it in clear", step)
		return
	}
	if step != p.step {
		p.finish()
		p.step, p.done, p.told = step, 0, time.Now()
		if p.app.ShowsProgress {
			p.bar = p.app.NewProgress(string(step), total, terminal.Count)
		}
	}
	if p.bar != nil {
		p.bar.Add(done - p.done)
	} else if now := time.Now(); done == total || now.Sub(p.told) >= lineEvery {
		p.told = now
		p.app.note("%s: %s of %s keys", step, terminal.Count(done), terminal.Count(total))
	}
	p.done = done
}

func (p *rekeyProgress) finish() {
	if p.bar != nil {
		p.bar.Finish()
		p.bar = nil
	}
}
