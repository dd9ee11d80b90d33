package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// builderMetadata are the pages of EC2's instance metadata that a build on this
// machine reads, in the builder's place: it gets the credentials of the
// builder's role only. Their paths are those of an S3 bucket named "latest".
func builderMetadata(rights *gateway.Rights, moto *url.URL) map[string]http.HandlerFunc {
	const (
		path   = "/latest/meta-data/iam/security-credentials/"
		name   = "builder"
		life   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
		token  = "X-Aws-Ec2-Metadata-Token"
		secret = "of-this-machine" // everyone on loopback may read these pages anyway
	)
	reader := iam.NewFromConfig(gateway.MotoConfig(moto))
	withToken := func(page http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(token) != secret {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			page(w, r)
		}
	}
	return map[string]http.HandlerFunc{
		"/latest/api/token": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(life, r.Header.Get(life))
			fmt.Fprint(w, secret)
		},
		path: withToken(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }),
		path + name: withToken(func(w http.ResponseWriter, r *http.Request) {
			role, err := builderRole(r.Context(), reader)
			if err != nil {
				http.Error(w, err.Error(), http.StatusNotFound)
				return
			}
			given, err := rights.Issue(r.Context(), role, "ec2.amazonaws.com")
			if err != nil {
				http.Error(w, err.Error(), http.StatusNotFound)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]string{ // an error means that the caller has gone
				"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": time.Now().UTC().Format(time.RFC3339),
				"AccessKeyId": given.AccessKeyID, "SecretAccessKey": given.SecretAccessKey, "Token": given.SessionToken,
				"Expiration": given.Expiration.UTC().Format(time.RFC3339),
			})
		}),
	}
}

// builderRole returns the role with the name that the stack's component gives it.
func builderRole(ctx context.Context, reader *iam.Client) (string, error) {
	pages := iam.NewListInstanceProfilesPaginator(reader, &iam.ListInstanceProfilesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", err
		}
		for _, profile := range page.InstanceProfiles {
			if strings.HasPrefix(*profile.InstanceProfileName, "roles-builder-") && len(profile.Roles) > 0 {
				return *profile.Roles[0].Arn, nil
			}
		}
	}
	return "", errors.New("there is no builder's instance profile: deploy the stack first")
}
