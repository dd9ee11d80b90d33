package stack

import (
	"github.com/intraverse/dcv-sessions/components/observability"
	"github.com/intraverse/dcv-sessions/contract"
)

// declareLogs declares the log group of the sessions.
func (d *deployment) declareLogs() (err error) {
	d.logs, err = observability.NewLogs(d.ctx, logsName, &observability.LogsArgs{
		NamePrefix:    contract.LogGroupPrefix(d.stack),
		RetentionDays: d.cfg.Logs.RetentionDays,
		Tags:          d.tags,
	}, d.keep)
	return err
}
