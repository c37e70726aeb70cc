{{- define "worker.labels" -}}
app.kubernetes.io/name: whatsapp-worker
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "worker.secret" -}}
{{ required "existingSecret names the Secret that holds the workers' secrets: see values.yaml" .Values.existingSecret }}
{{- end }}

{{- define "worker.pod" -}}
metadata:
  labels:
    {{- include "worker.labels" . | nindent 4 }}
  {{- if .Values.metrics.enabled }}
  annotations:
    prometheus.io/scrape: "true"
    prometheus.io/port: "9464"
  {{- end }}
spec:
  # More than SHUTDOWN_GRACE_MS: a pod that is killed in its drain leaves its accounts to their leases' TTL.
  terminationGracePeriodSeconds: {{ add .Values.shutdownGraceSeconds 15 }}
  automountServiceAccountToken: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile:
      type: RuntimeDefault
  {{- if eq .Values.store "postgres" }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "worker.labels" . | nindent 10 }}
  {{- end }}
  containers:
    - name: worker
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      env:
        - name: WORKER_ID
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        - name: HTTP_LISTEN
          value: "0.0.0.0:8080"
        {{- if .Values.metrics.enabled }}
        - name: METRICS_LISTEN
          value: "0.0.0.0:9464"
        {{- end }}
        - name: SHUTDOWN_GRACE_MS
          value: {{ mul .Values.shutdownGraceSeconds 1000 | quote }}
        {{- if eq .Values.store "postgres" }}
        - name: STORE_URL_FILE
          value: /run/secrets/whatsapp-worker/store.url
        {{- else }}
        - name: STORE_URL
          value: sqlite:/data/store.db
        {{- end }}
        - name: WHATSAPP_AUTH_DIR
          value: /data/auth
        - name: WHATSAPP_AUTH_KEY_FILE
          value: /run/secrets/whatsapp-worker/auth.key
        - name: AGENT_SECRET_FILE
          value: /run/secrets/whatsapp-worker/agent.secret
        - name: ADMIN_API_TOKEN_FILE
          value: /run/secrets/whatsapp-worker/admin.token
        {{- range $name, $value := .Values.settings }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
      ports:
        - name: http
          containerPort: 8080
        {{- if .Values.metrics.enabled }}
        - name: metrics
          containerPort: 9464
        {{- end }}
      # A restart mends a process that does not turn, and neither store nor WhatsApp.
      livenessProbe:
        httpGet:
          path: /healthz
          port: http
        periodSeconds: 10
        failureThreshold: 6
      readinessProbe:
        httpGet:
          path: /readyz
          port: http
        periodSeconds: 5
        timeoutSeconds: 5
      # The first start may have to bring a large store up to date.
      startupProbe:
        httpGet:
          path: /healthz
          port: http
        periodSeconds: 2
        failureThreshold: 150
      resources:
        {{- .Values.resources | toJson | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: secrets
          mountPath: /run/secrets/whatsapp-worker
          readOnly: true
        # Files on their way to WhatsApp lie there, encrypted.
        - name: tmp
          mountPath: /tmp
        - name: {{ if eq .Values.store "postgres" }}work{{ else }}data{{ end }}
          mountPath: /data
  volumes:
    - name: secrets
      secret:
        secretName: {{ include "worker.secret" . }}
    - name: tmp
      emptyDir: {}
    {{- if eq .Values.store "postgres" }}
    # Holds the mark of this pod alone: the auth state is in the store.
    - name: work
      emptyDir: {}
    {{- end }}
{{- end }}
