import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;

/** Columns of a view as JDBC shows them: name, type, comment. */
class JdbcColumns {
	public static void main(String[] args) throws Exception {
		try (Connection link = DriverManager.getConnection(args[0], args[1], "");
				ResultSet columns = link.getMetaData().getColumns(null, "prepay", args[2], "%")) {
			while (columns.next())
				System.out.println(columns.getString("COLUMN_NAME") + "\t" + columns.getString("TYPE_NAME") + "\t"
						+ columns.getString("REMARKS"));
		}
	}
}
