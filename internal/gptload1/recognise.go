package gptload1

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gpt-load/internal/fleet"
)

// The tables of 1.x, and the columns that each of them has had since the first 1.0 beta.
const (
	settingsTable = "system_settings"
	groupsTable   = "groups"
	membersTable  = "group_sub_groups" // since 1.3
	keysTable     = "api_keys"
)

var needed = map[string][]string{
	settingsTable: {"id", "setting_key", "setting_value"},
	groupsTable:   {"id", "name", "upstreams", "channel_type"},
	membersTable:  {"id", "group_id", "sub_group_id", "weight"},
	keysTable:     {"id", "key_value", "group_id", "status"},
}

// recognise reads which columns there are and refuses what is no 1.x database, or one in the middle of something.
func (d *Database) recognise(ctx context.Context) error {
	d.columns = make(map[string][]string)
	for _, table := range []string{"provider_keys", "temp_migration", settingsTable, groupsTable, membersTable, keysTable} {
		columns, err := d.columnsOf(ctx, table)
		if err != nil {
			return err
		}
		if columns != nil {
			d.columns[table] = columns
		}
	}
	if d.columns["provider_keys"] != nil && d.columns[keysTable] == nil {
		return fleet.NewError(fleet.CodeInvalid,
			"this is a database of this version of GPT-Load, not of 1.x; set it as DATABASE_DSN to use it", nil)
	}
	var missing []string
	for _, table := range []string{settingsTable, groupsTable, keysTable} {
		if d.columns[table] == nil {
			missing = append(missing, "the table "+table)
		}
	}
	if len(missing) > 0 {
		return fleet.NewError(fleet.CodeInvalid, "this is not a database of GPT-Load 1.x: it lacks "+strings.Join(missing, ", ")+
			"; check that the DSN names the database that the 1.x installation uses", nil)
	}
	for _, table := range []string{settingsTable, groupsTable, membersTable, keysTable} {
		for _, column := range needed[table] {
			if d.columns[table] != nil && !d.has(table, column) {
				missing = append(missing, table+"."+column)
			}
		}
	}
	if len(missing) > 0 {
		return fleet.NewError(fleet.CodeInvalid, "this database is not complete: it lacks "+strings.Join(missing, ", ")+
			"; start its own version of GPT-Load 1.x once, which finishes its tables", nil)
	}
	if d.columns["temp_migration"] != nil {
		return fleet.NewError(fleet.CodeInvalid, "a migrate-keys of 1.x is running on this database, or broke off (the table temp_migration stands there); "+
			"let it finish or run it again; when api_keys is known to be whole, drop the table", nil)
	}
	return nil
}

// columnsOf returns nil when there is no such table.
func (d *Database) columnsOf(ctx context.Context, table string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := d.db.QueryContext(ctx, "SELECT * FROM "+d.quote(table)+" WHERE 1 = 0")
	if isNoTable(err) {
		return nil, nil
	}
	if err != nil {
		return nil, d.translate("looking at the tables", err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		return nil, d.translate("looking at the tables", err)
	}
	return columns, nil
}

func (d *Database) has(table, column string) bool { return slices.Contains(d.columns[table], column) }

// generation names the releases whose tables look like this.
func (d *Database) generation() string {
	switch {
	case d.has(groupsTable, "model_redirect_rules"):
		return "1.4 or later"
	case d.has(groupsTable, "group_type"):
		return "1.3"
	case d.has(keysTable, "key_hash"):
		return "1.1 or 1.2"
	}
	return "1.0"
}

// String names the database without its DSN.
func (s Source) String() string {
	sealed := "keys in clear"
	if s.Encrypted {
		sealed = "keys encrypted"
	}
	return fmt.Sprintf("GPT-Load %s on %s, %s", s.Generation, s.Product, sealed)
}
