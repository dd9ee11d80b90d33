package gateway

import "net/http"

// ecrAddresses replaces ACCOUNT.dkr.ecr.REGION.amazonaws.com in moto's answers, an
// address of AWS that cannot be configured there, by the local registry's. Docker
// needs no TLS for a registry on a loopback address.
func ecrAddresses(registry string) Behaviour {
	repository := func(r map[string]any) {
		if name, ok := r["repositoryName"].(string); ok {
			r["repositoryUri"] = registry + "/" + name
		}
	}
	one := edited(func(answer map[string]any) {
		if r, ok := answer["repository"].(map[string]any); ok {
			repository(r)
		}
	})
	return Behaviour{Name: "ecr addresses", Service: "ecr", Answers: map[string]Handler{
		"CreateRepository": one,
		"DeleteRepository": one,
		"DescribeRepositories": edited(func(answer map[string]any) {
			for _, r := range Objects(answer["repositories"]) {
				repository(r)
			}
		}),
		"GetAuthorizationToken": edited(func(answer map[string]any) {
			for _, a := range Objects(answer["authorizationData"]) {
				a["proxyEndpoint"] = "http://" + registry
			}
		}),
	}}
}

// edited returns a handler that forwards a call and changes the answer.
func edited(edit func(answer map[string]any)) Handler {
	return func(c *Call) (*http.Response, error) {
		res, err := c.Forward()
		if err != nil {
			return nil, err
		}
		return EditJSON(res, edit)
	}
}
