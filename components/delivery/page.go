package delivery

import "strings"

// PageURL returns the address of a file of a repository in the browser, from the address of
// GitHub's API: that of GitHub, or https://HOST/api/v3 of a GitHub Enterprise Server.
// Without a repository it is the file's path.
func PageURL(api, repository, ref, file string) string {
	if repository == "" {
		return file
	}
	host := strings.TrimSuffix(strings.TrimSuffix(api, "/"), "/api/v3")
	if host == "https://api.github.com" {
		host = "https://github.com"
	}
	return host + "/" + repository + "/blob/" + ref + "/" + file
}
