package stack

import (
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/intraverse/dcv-sessions/components/session"
)

// declareSessions declares a job definition for each user.
func (d *deployment) declareSessions() error {
	passwords, err := d.account.passwords()
	if err != nil {
		return err
	}
	batchEndpoint, err := d.account.endpoint("batch")
	if err != nil {
		return err
	}
	topicsEndpoint, err := d.account.endpoint("sns")
	if err != nil {
		return err
	}
	settings := d.cfg.Settings(d.stack)
	settings.BatchEndpoint, settings.TopicsEndpoint = aws.ToString(batchEndpoint), aws.ToString(topicsEndpoint)
	d.sessions, err = session.NewSessions(d.ctx, sessionsName, &session.SessionsArgs{
		Settings:          settings,
		Users:             d.usersWithSessions(),
		Image:             d.image.URI,
		VCPUs:             d.cfg.Session.VCPUs,
		MemoryMiB:         d.cfg.Session.MemoryMiB,
		GPUs:              d.cfg.Session.GPUs,
		PerGPU:            d.cfg.Session.PerGPU,
		SharedMemoryMiB:   d.cfg.Session.SharedMemoryMiB,
		Privileged:        d.cfg.Session.Privileged,
		Attempts:          d.cfg.Session.Attempts,
		CertificateARN:    d.cfg.Session.CertificateSecretARN,
		ExecutionRoleARN:  d.roles.ExecutionRoleARN,
		SessionRoleARN:    d.roles.SessionRoleARN,
		LogGroupName:      d.logs.LogGroupName,
		EnsureCredentials: passwords.Ensure,
		Tags:              d.tags,
	})
	return err
}

// usersWithSessions returns the configured users with their secrets.
func (d *deployment) usersWithSessions() []session.User {
	var users []session.User
	for _, u := range d.cfg.Users {
		user := session.User{Name: u.Name, CredentialsARN: d.users.Credentials[u.Name]}
		if arn, ok := d.users.Notifications[u.Name]; ok {
			user.NotificationARN = arn
		}
		users = append(users, user)
	}
	return users
}
