# A node that serves the index, by the unit that comes with wheelhouse (deploy/wheelhouse.service).
{%- from "wheelhouse/map.jinja" import settings, environment, installed, refused with context %}
{%- set server = settings.server %}
{%- set systemd = salt["file.directory_exists"]("/run/systemd/system") %}

include:
  - wheelhouse.command

{{ installed("wheelhouse server", server.extras) }}

{%- if server.user %}

wheelhouse user:
  user.present:
    - name: {{ server.user | json }}
    - system: true
    - home: {{ server.folder | json }}
    - createhome: false
    - shell: /usr/sbin/nologin

wheelhouse folder:
  file.directory:
    - name: {{ server.folder | json }}
    - user: {{ server.user | json }}
    - mode: "0700"
    - makedirs: true
    - require:
      - user: wheelhouse user
    - require_in:
      - file: wheelhouse server configuration
{%- endif %}

# Without an owner: systemd's user of the moment gets the folder when the service starts, and keeps it.
wheelhouse server configuration:
  file.managed:
    - name: {{ (server.folder ~ "/wheelhouse.toml") | json }}
    - source: salt://wheelhouse/server/wheelhouse.toml.jinja
    - template: jinja
    - mode: "0644"
    - makedirs: true
    - dir_mode: "0700"

wheelhouse server environment:
  file.managed:
    - name: {{ server.environment_file | json }}
    - source: salt://wheelhouse/server/environment.jinja
    - template: jinja
    - mode: "0600"
    - makedirs: true
    - show_changes: false

wheelhouse unit:
  file.managed:
    - name: {{ server.unit | json }}
    - source: salt://wheelhouse/server/wheelhouse.service
    - mode: "0644"
    - makedirs: true

wheelhouse unit settings:
  file.managed:
    - name: {{ (server.unit ~ ".d/salt.conf") | json }}
    - source: salt://wheelhouse/server/salt.conf.jinja
    - template: jinja
    - mode: "0644"
    - makedirs: true

{%- if not server.service %}

wheelhouse service:
  test.succeed_without_changes:
    - name: {{ settings.command | json }}
    - comment: {{ ("not started, since wheelhouse:server:service is false: " ~ settings.command ~ " serve, in " ~ server.folder) | json }}

{%- elif not systemd %}
{{ refused("wheelhouse service", "systemd does not run here, so nothing has started the index. Have `" ~ settings.command
   ~ " serve` run in " ~ server.folder ~ " by what starts services on this minion, and set wheelhouse:server:service to false") }}

{%- else %}

wheelhouse service:
  service.running:
    - name: {{ server.unit.split("/") | last | replace(".service", "") }}
    - enable: true
    - watch:
      - wheelhouse: wheelhouse server
      - file: wheelhouse server configuration
      - file: wheelhouse server environment
      - file: wheelhouse unit
      - file: wheelhouse unit settings
{%- endif %}
