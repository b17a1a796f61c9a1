{{/* Names of 63 characters at most, because they become labels and names of services. */}}
{{- define "gpt-load.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Room is left for "-candidate" and what Kubernetes appends to it. */}}
{{- define "gpt-load.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "gpt-load.selector" -}}
app.kubernetes.io/name: {{ include "gpt-load.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gpt-load.labels" -}}
{{ include "gpt-load.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "gpt-load.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "gpt-load.serviceAccount" -}}
{{- default (include "gpt-load.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{/* "true" where the data folder is a volume that outlives its pod. */}}
{{- define "gpt-load.persistent" -}}
{{- $asked := .Values.persistence.enabled }}
{{- if kindIs "bool" $asked }}{{ $asked }}{{ else }}{{ eq .Values.mode "single" }}{{ end }}
{{- end }}

{{/* The variables by their Secret and its key, as JSON: {"name of a Secret": {"auth-key": "AUTH_KEY"}}. */}}
{{- define "gpt-load.secrets" -}}
{{- $all := .Values.secrets }}
{{- $fleet := eq .Values.mode "fleet" }}
{{- $wanted := dict "AUTH_KEY" "authKey" "ENCRYPTION_KEY" "encryptionKey" }}
{{- if $fleet }}{{ $_ := merge $wanted (dict "DATABASE_DSN" "databaseDsn" "REDIS_DSN" "redisDsn") }}{{ end }}
{{- $found := dict }}
{{- range $variable, $value := $wanted }}
{{- $one := get $all $value }}
{{- $name := default $all.name $one.name }}
{{- if $name }}
{{- $keys := default dict (get $found $name) }}
{{- if hasKey $keys $one.key }}
{{- fail (printf "values: %s and %s are both to come from the key %s of the Secret %s" (get $keys $one.key) $variable $one.key $name) }}
{{- end }}
{{- $_ := set $found $name (set $keys $one.key $variable) }}
{{- else if $fleet }}
{{- fail (printf "values: a fleet needs %s from a Secret: set secrets.name to one that has the keys %s, or secrets.%s.name" $variable "auth-key, encryption-key, database-dsn and redis-dsn" $value) }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* What no schema can say, because it joins values. */}}
{{- define "gpt-load.check" -}}
{{- $scaling := .Values.followers.autoscaling }}
{{- if and (eq .Values.mode "fleet") $scaling.enabled }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
{{- fail (printf "values: followers.autoscaling.minReplicas (%d) is more than maxReplicas (%d)" (int $scaling.minReplicas) (int $scaling.maxReplicas)) }}
{{- end }}
{{- if not (or $scaling.targetCPUPercent $scaling.targetRequestsInFlight) }}
{{- fail "values: followers.autoscaling needs targetCPUPercent or targetRequestsInFlight, or both" }}
{{- end }}
{{- $resources := default .Values.resources .Values.followers.resources }}
{{- if and $scaling.targetCPUPercent (not (dig "requests" "cpu" "" $resources)) }}
{{- fail "values: followers.autoscaling.targetCPUPercent is a share of resources.requests.cpu, which is not set" }}
{{- end }}
{{- end }}
{{- if and .Values.persistence.existingClaim (ne .Values.mode "single") }}
{{- fail "values: persistence.existingClaim is for mode single; the pods of a fleet need a volume each, which persistence.enabled makes" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- fail "values: ingress.hosts is empty; name the hosts by which clients reach the fleet, such as [ai.example.com]" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "values: httpRoute.parentRefs is empty; name the Gateway, such as [{name: gateway, namespace: gateways}]" }}
{{- end }}
{{- end }}
