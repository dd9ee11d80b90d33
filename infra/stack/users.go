package stack

import "github.com/intraverse/dcv-sessions/components/userresources"

// declareUsers declares the secrets and topics of the users, and the topic of the team.
func (d *deployment) declareUsers() (err error) {
	d.users, err = userresources.NewUserResources(d.ctx, usersName, &userresources.UserResourcesArgs{
		Stack:        d.stack,
		Users:        d.cfg.UserResources(),
		TeamEmails:   d.cfg.Notifications.TeamEmails,
		Budget:       d.cfg.Budget.MonthlyUSD > 0,
		RecoveryDays: d.cfg.Secrets.RecoveryDays,
		Tags:         d.tags,
	})
	return err
}
