package stack

import "github.com/intraverse/dcv-sessions/components/userresources"

// declareUsers declares the secrets and topics of the users, and the topic of the team.
func (d *deployment) declareUsers() (err error) {
	d.users, err = userresources.NewUserResources(d.ctx, usersName, &userresources.UserResourcesArgs{
		Stack:        d.stack,
		Users:        d.usersWithSecrets(),
		TeamEmails:   d.cfg.Notifications.TeamEmails,
		RecoveryDays: d.cfg.Secrets.RecoveryDays,
		Tags:         d.tags,
	})
	return err
}

// usersWithSecrets returns the configured users with the addresses that are notified.
func (d *deployment) usersWithSecrets() []userresources.User {
	var users []userresources.User
	for _, u := range d.cfg.Users {
		users = append(users, userresources.User{Name: u.Name, Notify: u.Notify})
	}
	return users
}
