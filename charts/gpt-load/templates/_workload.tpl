{{/* A workload of nodes: (dict "root" $ "role" "candidate"|"follower"|"single" "replicas" N or null "resources" map) */}}
{{- define "gpt-load.workload" -}}
{{- $root := .root }}
{{- $persistent := eq (include "gpt-load.persistent" $root) "true" }}
{{- include "gpt-load.check" $root }}
apiVersion: apps/v1
kind: {{ ternary "StatefulSet" "Deployment" $persistent }}
metadata:
  name: {{ include "gpt-load.fullname" $root }}-{{ .role }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "gpt-load.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
spec:
  {{- if kindIs "invalid" .replicas | not }}
  replicas: {{ int .replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  minReadySeconds: 5
  selector:
    matchLabels:
      {{- include "gpt-load.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .role }}
  {{- if $persistent }}
  serviceName: {{ include "gpt-load.fullname" $root }}-metrics
  podManagementPolicy: Parallel
  updateStrategy:
    type: RollingUpdate
  {{- if not $root.Values.persistence.existingClaim }}
  volumeClaimTemplates:
    - apiVersion: v1
      kind: PersistentVolumeClaim
      metadata:
        name: data
        labels:
          {{- include "gpt-load.selector" $root | nindent 10 }}
      spec:
        accessModes: {{ toJson $root.Values.persistence.accessModes }}
        {{- with $root.Values.persistence.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ $root.Values.persistence.size }}
  {{- end }}
  {{- else }}
  {{- $attempts := $root.Values.probes.startup }}
  progressDeadlineSeconds: {{ add (mul $attempts.periodSeconds $attempts.failureThreshold) 300 }}
  strategy:
    {{- if eq .role "single" }}
    type: Recreate # SQLite's file has one node
    {{- else }}
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
    {{- end }}
  {{- end }}
  template:
    {{- include "gpt-load.pod" (merge (dict "persistent" $persistent) .) | nindent 4 }}
{{- end }}

{{- define "gpt-load.pod" -}}
{{- $root := .root }}
{{- $values := $root.Values -}}
metadata:
  labels: # without the chart's version: a change of the chart alone ends no pod
    {{- include "gpt-load.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "gpt-load.serviceAccount" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "gpt-load.gracePeriod" . }}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml $values.podSecurityContext | nindent 4 }}
  containers:
    - name: gpt-load
      image: {{ include "gpt-load.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      securityContext:
        {{- toYaml $values.securityContext | nindent 8 }}
      env:
        {{- include "gpt-load.env" . | nindent 8 }}
      ports:
        - name: http
          containerPort: 3001
        - name: metrics
          containerPort: {{ int $values.metrics.port }}
      startupProbe:
        httpGet: { path: /startupz, port: http }
        {{- toYaml $values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet: { path: /livez, port: http }
        {{- toYaml $values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        {{- toYaml $values.probes.readiness | nindent 8 }}
      {{- if and (ne .role "single") $values.drain.preStopSeconds }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ int $values.drain.preStopSeconds }}
      {{- end }}
      {{- with default $values.resources .resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: data
          mountPath: /data
        - name: tmp
          mountPath: /tmp
        {{- if fromJson (include "gpt-load.secrets" $root) }}
        - name: secrets
          mountPath: /run/secrets/gpt-load
          readOnly: true
        {{- end }}
  volumes:
    {{- include "gpt-load.volumes" . | nindent 4 }}
  {{- if and $values.topologySpread.enabled (ne .role "single") }}
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "gpt-load.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.role }}
      {{- if not $.persistent }}
      matchLabelKeys: [pod-template-hash] # those of the version before do not count
      {{- end }}
    {{- end }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- range $name := list "nodeSelector" "tolerations" "affinity" }}
  {{- with get $values $name }}
  {{ $name }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end }}

{{- define "gpt-load.gracePeriod" -}}
{{- $drain := .root.Values.drain }}
{{- $budget := add $drain.timeoutSeconds $drain.reserveSeconds }}
{{- if eq .role "single" }}{{ $budget }}{{ else }}{{ add $budget $drain.preStopSeconds $drain.delaySeconds }}{{ end }}
{{- end }}

{{- define "gpt-load.env" -}}
{{- $values := .root.Values }}
{{- $variables := dict "HOST" "0.0.0.0" "PORT" "3001" "DATA_DIR" "/data" "METRICS_PORT" $values.metrics.port
      "SERVER_SHUTDOWN_DELAY" $values.drain.delaySeconds "SERVER_GRACEFUL_SHUTDOWN_TIMEOUT" $values.drain.timeoutSeconds }}
{{- if ne .role "single" }}{{ $_ := set $variables "IS_SLAVE" (eq .role "follower") }}{{ end }}
{{- range $_, $keys := fromJson (include "gpt-load.secrets" .root) }}
{{- range $_, $name := $keys }}
{{- $_ := set $variables (printf "%s_FILE" $name) (printf "/run/secrets/gpt-load/%s" (lower $name)) }}
{{- end }}
{{- end }}
{{- $list := list }}
{{- range $name, $value := merge $variables $values.config }}
{{- $text := ternary (int64 $value | toString) (toString $value) (kindIs "float64" $value) }}
{{- $list = append $list (dict "name" $name "value" $text) }}
{{- end }}
{{- concat $list $values.extraEnv | toYaml }}
{{- end }}

{{- define "gpt-load.volumes" -}}
{{- $values := .root.Values -}}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- if and .persistent $values.persistence.existingClaim }}
- name: data
  persistentVolumeClaim:
    claimName: {{ $values.persistence.existingClaim }}
{{- else if not .persistent }}
- name: data
  emptyDir:
    sizeLimit: {{ $values.persistence.size }}
{{- end }}
{{- with fromJson (include "gpt-load.secrets" .root) }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $name, $keys := . }}
      - secret:
          name: {{ $name }}
          items:
            {{- range $key, $variable := $keys }}
            - key: {{ $key }}
              path: {{ lower $variable }}
            {{- end }}
      {{- end }}
{{- end }}
{{- end }}
