/*
 * Amazon EventBridge event patterns. The cases follow the sections of the EventBridge user guide;
 * where the guide is silent they follow what the service does (as its public matcher and recorded
 * answers of the service show). ' stands for ".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "helper.h"

struct pattern_case {
    const char *pattern;
    const char *event;
    bool matches;
};

#define EC2                                                                                        \
    "{'type':'ec2.Instance.State-change','source':'aws.ec2','time':"                               \
    "'2017-12-22T18:43:48Z','region':'us-west-1','resources':['arn:aws:ec2:i-1','arn:aws:ec2:i-2'" \
    "],'data':{'instance-id':'i-1','state':'terminated','c-count':3,'d-count':9,'x-limit':301.8,"  \
    "'source-ip':'10.0.0.33','empty':'','nothing':null,'yes':true,'no':false}}"

static const struct pattern_case CASES[] = {
    /* Values: strings, numbers, true, false, null, and the empty string, which is not null. */
    {"{'source':['aws.ec2'],'detail-type':['ec2.Instance.State-change'],'detail':{"
     "'state':['terminated']}}",
     EC2, true},
    {"{'source':['aws.ec2'],'detail':{'state':['running']}}", EC2, false},
    {"{'type':[{'prefix':'ec2.'}],'data':{'state':['terminated']}}", EC2, true},
    {"{'source':['aws.s3','aws.ec2']}", EC2, true},
    {"{'source':['aws']}", EC2, false},
    {"{'source':['AWS.EC2']}", EC2, false},
    {"{'detail':{'c-count':[3]}}", EC2, true},
    {"{'detail':{'c-count':['3']}}", EC2, false},
    {"{'detail':{'x-limit':[3.018e2]}}", EC2, true},
    {"{'number':[300]}", "{'number':300.0}", true},
    {"{'detail':{'yes':[true],'no':[false],'nothing':[null]}}", EC2, true},
    {"{'detail':{'yes':['true']}}", EC2, false},
    {"{'detail':{'empty':['']}}", EC2, true},
    {"{'detail':{'empty':[null]}}", EC2, false},
    {"{'detail':{'nothing':['']}}", EC2, false},
    {"{'detail':{'missing':[null]}}", EC2, false},
    {"{'detail':{'c-count':[1,'x',3,null]}}", EC2, true},
    {"{'version':[7]}", "{'version':7}", true},
    {"{'account':['1']}", "{'account':'1'}", true},
    /* Event arrays: the two have an element in common. */
    {"{'resources':['arn:aws:ec2:i-9','arn:aws:ec2:i-2']}", EC2, true},
    {"{'resources':['arn:aws:ec2:i-9']}", EC2, false},
    {"{'resources':[{'suffix':'i-1'}]}", EC2, true},
    {"{'detail':{'a':[1]}}", "{'data':{'a':[[2],[3,[1]]]}}", true},
    {"{'detail':{'a':[null]}}", "{'data':{'a':[]}}", false},
    {"{'detail':{'a':[{'exists':true}]}}", "{'data':{'a':[]}}", false},
    {"{'detail':{'a':[{'exists':false}]}}", "{'data':{'a':[]}}", true},
    {"{'detail':[1]}", "{'data':[1,2]}", true},
    {"{'detail':['x']}", "{'data':'x'}", true},
    {"{'detail':{'a':[1]}}", "{'data':[{'a':1}]}", true},
    {"{'detail':{'a':[1]}}", "{'data':'x'}", false},
    /* prefix */
    {"{'time':[{'prefix':'2017-12-22'}]}", EC2, true},
    {"{'time':[{'prefix':'2017-10-02'}]}", EC2, false},
    {"{'detail':{'c-count':[{'prefix':'3'}]}}", EC2, false},
    {"{'detail':{'empty':[{'prefix':''}]}}", EC2, true},
    {"{'detail':{'service':[{'prefix':{'equals-ignore-case':'EventB'}}]}}",
     "{'data':{'service':'eventbridge'}}", true},
    {"{'detail':{'service':[{'prefix':{'equals-ignore-case':'EventB'}}]}}",
     "{'data':{'service':'EVENTBRIDGE'}}", true},
    {"{'detail':{'service':[{'prefix':{'equals-ignore-case':'EventB'}}]}}",
     "{'data':{'service':'event'}}", false},
    /* suffix */
    {"{'FileName':[{'suffix':'.png'}]}", "{'FileName':'a.png'}", true},
    {"{'FileName':[{'suffix':'.png'}]}", "{'FileName':'a.PNG'}", false},
    {"{'FileName':[{'suffix':{'equals-ignore-case':'.png'}}]}", "{'FileName':'a.PNG'}", true},
    {"{'FileName':[{'suffix':{'equals-ignore-case':'.png'}}]}", "{'FileName':'png'}", false},
    /* equals-ignore-case */
    {"{'detail-type':[{'equals-ignore-case':'EC2.instance.state-CHANGE'}]}", EC2, true},
    {"{'detail-type':[{'equals-ignore-case':'ec2.instance'}]}", EC2, false},
    {"{'detail':{'a':[{'equals-ignore-case':'ÉTÉ'}]}}", "{'data':{'a':'été'}}", true},
    {"{'detail':{'a':[{'equals-ignore-case':''}]}}", "{'data':{'a':''}}", true},
    {"{'detail':{'a':[{'equals-ignore-case':''}]}}", "{'data':{'a':'x'}}", false},
    /* anything-but */
    {"{'detail':{'state':[{'anything-but':'initializing'}]}}", EC2, true},
    {"{'detail':{'state':[{'anything-but':'terminated'}]}}", EC2, false},
    {"{'detail':{'c-count':[{'anything-but':123}]}}", EC2, true},
    {"{'detail':{'c-count':[{'anything-but':3}]}}", EC2, false},
    {"{'detail':{'c-count':[{'anything-but':0}]}}", EC2, true},
    {"{'detail':{'state':[{'anything-but':['stopped','overloaded']}]}}", EC2, true},
    {"{'detail':{'state':[{'anything-but':['stopped','terminated']}]}}", EC2, false},
    {"{'detail':{'x-limit':[{'anything-but':[100,200,300]}]}}", EC2, true},
    {"{'detail':{'x-limit':[{'anything-but':[100,301.8]}]}}", EC2, false},
    {"{'detail':{'state':[{'anything-but':5}]}}", EC2, true},
    {"{'detail':{'nothing':[{'anything-but':'x'}]}}", EC2, true},
    {"{'detail':{'missing':[{'anything-but':'x'}]}}", EC2, false},
    {"{'detail':{'state':[{'anything-but':{'equals-ignore-case':'TERMINATED'}}]}}", EC2, false},
    {"{'detail':{'state':[{'anything-but':{'equals-ignore-case':['initializing','stopped']}}]}}",
     EC2, true},
    {"{'detail':{'state':[{'anything-but':{'prefix':'init'}}]}}", EC2, true},
    {"{'detail':{'state':[{'anything-but':{'prefix':'term'}}]}}", EC2, false},
    {"{'detail':{'state':[{'anything-but':{'prefix':['init','term']}}]}}", EC2, false},
    {"{'detail':{'c-count':[{'anything-but':{'prefix':'init'}}]}}", EC2, true},
    {"{'detail':{'nothing':[{'anything-but':{'prefix':['init','x']}}]}}", EC2, true},
    {"{'detail':{'missing':[{'anything-but':{'prefix':'init'}}]}}", EC2, false},
    {"{'FileName':[{'anything-but':{'suffix':'.txt'}}]}", "{'FileName':'a.txt.bak'}", true},
    {"{'FileName':[{'anything-but':{'suffix':['.txt','.rtf']}}]}", "{'FileName':'a.rtf'}", false},
    {"{'detail':{'FilePath':[{'anything-but':{'wildcard':'*/lib/*'}}]}}",
     "{'data':{'FilePath':'dir/lib/file'}}", false},
    {"{'detail':{'FilePath':[{'anything-but':{'wildcard':['*/lib/*','*/bin/*']}}]}}",
     "{'data':{'FilePath':'dir/bin/file'}}", false},
    {"{'detail':{'FilePath':[{'anything-but':{'wildcard':['*/lib/*','*/bin/*']}}]}}",
     "{'data':{'FilePath':'dir/init/file'}}", true},
    {"{'detail':{'FilePath':[{'anything-but':{'wildcard':''}}]}}",
     "{'data':{'FilePath':'dir/init/file'}}", true},
    {"{'resources':[{'anything-but':'arn:aws:ec2:i-1'}]}", EC2, true},
    /* numeric */
    {"{'detail':{'c-count':[{'numeric':['>',0,'<=',5]}],'d-count':[{'numeric':['<',10]}],'x-limit':"
     "[{'numeric':['=',3.018e2]}]}}",
     EC2, true},
    {"{'detail':{'c-count':[{'numeric':['>',3]}]}}", EC2, false},
    {"{'detail':{'c-count':[{'numeric':['>=',3]}]}}", EC2, true},
    {"{'detail':{'c-count':[{'numeric':['<',3]}]}}", EC2, false},
    {"{'detail':{'c-count':[{'numeric':['<=',3]}]}}", EC2, true},
    {"{'detail':{'c-count':[{'numeric':['>=',3,'<',4]}]}}", EC2, true},
    {"{'detail':{'c-count':[{'numeric':['>',0,'<',3]}]}}", EC2, false},
    {"{'detail':{'state':[{'numeric':['>',0]}]}}", EC2, false},
    {"{'detail':{'a':[{'numeric':['=',5]}]}}", "{'data':{'a':'5'}}", false},
    {"{'detail':{'a':[{'numeric':['<',0]}]}}", "{'data':{'a':-1e-3}}", true},
    {"{'detail':{'a':[{'numeric':['>',7]}]}}", "{'data':{'a':[1,9]}}", true},
    /* exists: of leaves only */
    {"{'detail':{'c-count':[{'exists':true}]}}", EC2, true},
    {"{'detail':{'c-count':[{'exists':false}]}}", EC2, false},
    {"{'detail':{'none':[{'exists':false}]}}", EC2, true},
    {"{'detail':{'nothing':[{'exists':true}]}}", EC2, true},
    {"{'detail':{'c-count':[{'exists':false}]}}", "{'data':{'c-count':{'c1':100}}}", true},
    {"{'detail':{'c-count':[{'exists':true}]}}", "{'data':{'c-count':{'c1':100}}}", false},
    {"{'detail':{'a':[{'anything-but':['roses']},{'exists':false}]}}", "{'data':{'a':'ABCD'}}",
     true},
    {"{'detail':{'a':[{'anything-but':['roses']},{'exists':false}]}}", "{'data':{'a':'roses'}}",
     false},
    {"{'detail':{'a':[{'anything-but':['roses']},{'exists':false}]}}", "{'data':{}}", true},
    {"{'source':[{'exists':true}],'none':[{'exists':false}]}", EC2, true},
    {"{'detail':{'a':[{'exists':false}]}}", "{}", true},
    /* cidr */
    {"{'detail':{'source-ip':[{'cidr':'10.0.0.0/24'}]}}", EC2, true},
    {"{'detail':{'source-ip':[{'cidr':'10.0.0.0/8'}]}}", EC2, true},
    {"{'detail':{'source-ip':[{'cidr':'10.0.0.32/31'}]}}", EC2, true},
    {"{'detail':{'source-ip':[{'cidr':'10.0.0.34/31'}]}}", EC2, false},
    {"{'detail':{'source-ip':[{'cidr':'10.0.0.33/32'}]}}", EC2, true},
    {"{'detail':{'source-ip':[{'cidr':'0.0.0.0/0'}]}}", EC2, true},
    {"{'detail':{'source-ip':[{'cidr':'10.0.1.0/24'}]}}", EC2, false},
    {"{'ip':[{'cidr':'10.0.0.0/24'}]}", "{'ip':'10.0.0.256'}", false},
    {"{'ip':[{'cidr':'10.0.0.0/24'}]}", "{'ip':'10.0.0.1.2'}", false},
    {"{'ip':[{'cidr':'10.0.0.0/24'}]}", "{'ip':''}", false},
    {"{'detail':{'c-count':[{'cidr':'0.0.0.0/0'}]}}", EC2, false},
    {"{'ip':[{'cidr':'2001:db8:1234:1a00::/64'}]}",
     "{'ip':'2001:0db8:1234:1a00:0000:0000:0000:0000'}", true},
    {"{'ip':[{'cidr':'2001:db8:1234:1a00::/64'}]}", "{'ip':'2001:db8:1234:1a00:1::7'}", true},
    {"{'ip':[{'cidr':'2001:db8:1234:1a00::/64'}]}", "{'ip':'2001:db8:1234:1a01::'}", false},
    {"{'ip':[{'cidr':'::ffff:10.0.0.0/104'}]}", "{'ip':'::ffff:10.9.9.9'}", true},
    {"{'ip':[{'cidr':'::/0'}]}", "{'ip':'10.0.0.1'}", false},
    {"{'ip':[{'cidr':'0.0.0.0/0'}]}", "{'ip':'::1'}", false},
    {"{'ip':[{'cidr':'::1/128'}]}", "{'ip':'0:0:0:0:0:0:0:1'}", true},
    {"{'ip':[{'cidr':'::/0'}]}", "{'ip':'1::2::3'}", false},
    {"{'ip':[{'cidr':'::/0'}]}", "{'ip':'1:2:3:4:5:6:7'}", false},
    {"{'ip':[{'cidr':'::/0'}]}", "{'ip':'1:2:3:4:5:6:7:8:9'}", false},
    {"{'ip':[{'cidr':'::/0'}]}", "{'ip':'1:2:3:4:5:6:7::'}", true},
    {"{'ip':[{'cidr':'::/0'}]}", "{'ip':'12345::'}", false},
    {"{'ip':[{'cidr':'::/0'}]}", "{'ip':'1:'}", false},
    {"{'ip':[{'cidr':'::/0'}]}", "{'ip':':1'}", false},
    {"{'ip':[{'cidr':'::/0'}]}", "{'ip':'fe80::1%eth0'}", false},
    /* wildcard */
    {"{'bus':[{'wildcard':'arn:aws:events:us-east-1:*:event-bus/*'}]}",
     "{'bus':'arn:aws:events:us-east-1:123456789012:event-bus/myEventBus'}", true},
    {"{'bus':[{'wildcard':'arn:aws:events:us-east-1:*:event-bus/*'}]}",
     "{'bus':'arn:aws:events:us-east-2:123456789012:event-bus/myEventBus'}", false},
    {"{'f':[{'wildcard':'dir/*.png'}]}", "{'f':'dir/a.png'}", true},
    {"{'f':[{'wildcard':'dir/*.png'}]}", "{'f':'dir/.png'}", true},
    {"{'f':[{'wildcard':'dir/*.png'}]}", "{'f':'xdir/a.png'}", false},
    {"{'f':[{'wildcard':'dir/*.png'}]}", "{'f':'dir/a.pngx'}", false},
    {"{'f':[{'wildcard':'/Users/*/dir/dir/dir/dir/dir/doc.txt'}]}",
     "{'f':'/Users/ls_user/dir/dir/dir/dir/dir/doc.txt'}", true},
    {"{'f':[{'wildcard':'a*a'}]}", "{'f':'a'}", false},
    {"{'f':[{'wildcard':'a*a'}]}", "{'f':'aa'}", true},
    {"{'f':[{'wildcard':'*ab*ab'}]}", "{'f':'abab'}", true},
    {"{'f':[{'wildcard':'*ab*ab'}]}", "{'f':'xab'}", false},
    {"{'f':[{'wildcard':'*aab'}]}", "{'f':'aaab'}", true},
    {"{'f':[{'wildcard':'*'}]}", "{'f':''}", true},
    {"{'f':[{'wildcard':'abc'}]}", "{'f':'abc'}", true},
    {"{'f':[{'wildcard':'abc'}]}", "{'f':'abcd'}", false},
    {"{'f':[{'wildcard':''}]}", "{'f':'x'}", false},
    {"{'detail':{'f':[{'wildcard':'a*'}]}}", "{'data':{'f':5}}", false},
    {"{'f':[{'wildcard':'hot\\\\*dog'}]}", "{'f':'hot*dog'}", true},
    {"{'f':[{'wildcard':'hot\\\\*dog'}]}", "{'f':'hotxdog'}", false},
    {"{'f':[{'wildcard':'hot\\\\\\\\*dog'}]}", "{'f':'hot\\\\xxdog'}", true},
    {"{'f':[{'wildcard':'hot\\\\*\\\\\\\\*dog'}]}", "{'f':'hot*\\\\dog'}", true},
    /* $or */
    {"{'detail':{'$or':[{'c-count':[{'numeric':['>',0,'<=',5]}]},"
     "{'d-count':[{'numeric':['<',10]}]},"
     "{'x-limit':[{'numeric':['=',3.018e2]}]}]}}",
     EC2, true},
    {"{'detail':{'$or':[{'c-count':[0]},{'d-count':[0]},{'x-limit':[0]}]}}", EC2, false},
    {"{'source':['aws.ec2'],'$or':[{'region':['us-east-1']},{'detail':{'state':['terminated']}}]}",
     EC2, true},
    {"{'source':['aws.s3'],'$or':[{'region':['us-west-1']},{'detail':{'state':['terminated']}}]}",
     EC2, false},
    {"{'$or':[{'a':[1]},{'b':[1]}],'detail':{'$or':[{'c':[1]},{'d':[1]}]}}",
     "{'b':1,'data':{'d':1}}", true},
    {"{'$or':[{'a':[1]},{'b':[1]}],'detail':{'$or':[{'c':[1]},{'d':[1]}]}}",
     "{'b':1,'data':{'e':1}}", false},
    {"{'s':['x'],'$or':[{'m':[1]},{'t':['T'],'n':['N'],'$or':[{'i':[1]},{'p':[1]}]},{'o':['O']}]}",
     "{'s':'x','t':'T','n':'N','p':1}", true},
    {"{'s':['x'],'$or':[{'m':[1]},{'t':['T'],'n':['N'],'$or':[{'i':[1]},{'p':[1]}]},{'o':['O']}]}",
     "{'s':'x','t':'T','n':'N','m':2}", false},
    /* Keys with dots are what the objects are. */
    {"{'detail':{'state.status':['running']}}", "{'data':{'state':{'status':'running'}}}", true},
    {"{'detail':{'state':{'status':['running']}}}", "{'data':{'state.status':'running'}}", true},
    {"{'detail.state':['terminated']}", EC2, true},
    /* Array consistency: fields of one rule come from the same element. */
    {"{'detail':{'e':{'firstName':['Anna']}}}",
     "{'data':{'e':[{'firstName':'John','lastName':'Doe'},{'firstName':'Anna',"
     "'lastName':'Smith'}]}}",
     true},
    {"{'detail':{'e':{'firstName':['Anna'],'lastName':['Smith']}}}",
     "{'data':{'e':[{'firstName':'John','lastName':'Doe'},{'firstName':'Anna',"
     "'lastName':'Smith'}]}}",
     true},
    {"{'detail':{'e':{'firstName':['Anna'],'lastName':['Doe']}}}",
     "{'data':{'e':[{'firstName':'John','lastName':'Doe'},{'firstName':'Anna',"
     "'lastName':'Smith'}]}}",
     false},
    {"{'detail':{'e':{'firstName':['Anna'],'lastName':['Smith']}}}",
     "{'data':{'e':[[{'firstName':'John','lastName':'Doe'}],[{'firstName':'Anna','lastName':'Smith'"
     "}]]}}",
     true},
    {"{'detail':{'e':{'firstName':['Anna'],'lastName':['Doe']}}}",
     "{'data':{'e':[[{'firstName':'John','lastName':'Doe'}],[{'firstName':'Anna','lastName':'Smith'"
     "}]]}}",
     false},
    {"{'detail':{'a':{'b':{'x':[1]},'c':[2]}}}", "{'data':{'a':[{'b':[{'x':3},{'x':1}],'c':2}]}}",
     true},
    {"{'detail':{'a':{'b':{'x':[1]},'c':[2]}}}", "{'data':{'a':[{'b':[{'x':1}],'c':3},{'c':2}]}}",
     false},
    {"{'detail':{'a':{'b':{'x':[1],'y':[1]}}}}",
     "{'data':{'a':[{'b':[{'x':1},{'y':1}]},{'b':[{'x':1"
     ",'y':2}]}]}}",
     false},
    {"{'detail':{'a':{'x':[1]},'b':{'y':[1]}}}",
     "{'data':{'a':[{'x':2},{'x':1}],'b':[{'y':1},{}]}}", true},
    {"{'detail':{'x':[1],'y':[2]}}", "{'data':[{'x':1,'y':3},{'x':1,'y':2}]}", true},
    {"{'detail':{'x':[1],'y':[2]}}", "{'data':[{'x':1,'y':3},{'x':2,'y':2}]}", false},
    {"{'detail':{'a':{'x':[1],'t':['p']}}}", "{'data':{'a':[{'x':1,'t':['q','p']}]}}", true},
    /* Absence within an element that other fields have chosen; else in all of the array. */
    {"{'detail':{'a':{'x':[1],'y':[{'exists':false}]}}}", "{'data':{'a':[{'x':1,'y':2},{'x':1}]}}",
     true},
    {"{'detail':{'a':{'x':[1],'y':[{'exists':false}]}}}", "{'data':{'a':[{'x':1,'y':2},{'x':3}]}}",
     false},
    {"{'detail':{'a':{'y':[{'exists':false}]}}}", "{'data':{'a':[{'x':1},{'y':2}]}}", false},
    {"{'detail':{'a':{'y':[{'exists':false}]}}}", "{'data':{'a':[{'x':1},{'z':2}]}}", true},
    {"{'detail':{'a':{'y':['u',{'exists':false}]}}}", "{'data':{'a':[{'x':1},{'y':'v'}]}}", false},
    {"{'detail':{'a':{'y':['u',{'exists':false}]}}}", "{'data':{'a':[{'x':1},{'y':'u'}]}}", true},
    /* $or across the fields of one array. */
    {"{'$or':[{'detail':{'e':{'x':[1]}}},{'detail':{'e':{'x':[2]}}}],'detail':{'e':{'y':[5]}}}",
     "{'data':{'e':[{'x':1,'y':4},{'x':3,'y':5}]}}", false},
    {"{'$or':[{'detail':{'e':{'x':[1]}}},{'detail':{'e':{'x':[2]}}}],'detail':{'e':{'y':[5]}}}",
     "{'data':{'e':[{'x':1,'y':4},{'x':2,'y':5}]}}", true},
    /* Extensions and metadata are read like data. */
    {"{'ext':{'a':['x']}}", "{'ext':{'a':['y','x']}}", true},
    {"{'ext.a':['x']}", "{'ext.a':'x'}", true},
    {"{'metadata':{'tenant':['t1']}}", "{'metadata':{'tenant':'t1'}}", true},
    {"{'agent_id':['planner']}", "{'source':'planner'}", true},
    /* The complex example of the guide. */
    {"{'time':[{'prefix':'2017-12-22'}],"
     "'detail':{'state':[{'anything-but':'initializing'}],'c-count'"
     ":[{'numeric':['>',0,'<=',5]}],'d-count':[{'numeric':['<',10]}],"
     "'x-limit':[{'anything-but':[100"
     ",200,300]}],'source-ip':[{'cidr':'10.0.0.0/8'}]}}",
     EC2, true},
};

static void test_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const struct pattern_case *c = &CASES[i];
        if (quoted_matches(c->pattern, c->event) != c->matches) {
            fail_msg("%s on %s: expected %d", c->pattern, c->event, c->matches);
        }
    }
}

static const struct {
    const char *pattern;
    const char *text;
} REFUSED[] = {
    {"{'a':[]}", "empty array"},
    {"{'a':[1],'b':{}}", "empty object"},
    {"{'a':[[1]]}", "expected a string"},
    {"{'a':[1],'b':'c'}", "EventBridge"},
    {"{'a':[{}]}", "empty object"},
    {"{'a':[{'foo':1}]}", "unknown operator `foo`"},
    {"{'a':[{'prefix':'x','suffix':'y'}]}", "no other key"},
    {"{'a':[{'prefix':1}]}", "a string"},
    {"{'a':[{'prefix':['x']}]}", "a string"},
    {"{'a':[{'prefix':{'wildcard':'x'}}]}", "equals-ignore-case"},
    {"{'a':[{'equals-ignore-case':['x']}]}", "a string"},
    {"{'a':[{'anything-but':[]}]}", "at least one"},
    {"{'a':[{'anything-but':[1,'x']}]}", "only strings or only numbers"},
    {"{'a':[{'anything-but':null}]}", "strings or numbers"},
    {"{'a':[{'anything-but':['x',null]}]}", "strings or numbers"},
    {"{'a':[{'anything-but':{'cidr':'x'}}]}", "prefix, suffix"},
    {"{'a':[{'anything-but':{'prefix':''}}]}", "not empty"},
    {"{'a':[{'anything-but':{'suffix':''}}]}", "not empty"},
    {"{'a':[{'anything-but':{'prefix':5}}]}", "a string"},
    {"{'a':[{'anything-but':{'prefix':['x',5]}}]}", "a string"},
    {"{'a':[{'anything-but':{'prefix':{'equals-ignore-case':'x'}}}]}", "a string"},
    {"{'a':[{'anything-but':{'equals-ignore-case':123}}]}", "a string"},
    {"{'a':[{'anything-but':{'wildcard':[]}}]}", "at least one"},
    {"{'a':[{'numeric':5}]}", "an array such as"},
    {"{'a':[{'numeric':[]}]}", "a comparison"},
    {"{'a':[{'numeric':[5]}]}", "one of ="},
    {"{'a':[{'numeric':['>']}]}", "a number"},
    {"{'a':[{'numeric':['>','5']}]}", "a number"},
    {"{'a':[{'numeric':['!=',5]}]}", "one of ="},
    {"{'a':[{'numeric':['>',0,'>',0]}]}", "a range"},
    {"{'a':[{'numeric':['<',5,'>',0]}]}", "a range"},
    {"{'a':[{'numeric':['=',5,'<',9]}]}", "a range"},
    {"{'a':[{'numeric':['>',5,'<',5]}]}", "upper bound"},
    {"{'a':[{'numeric':['>',5,'<',9,'<',10]}]}", "at most two"},
    {"{'a':[{'exists':'yes'}]}", "true or false"},
    {"{'a':[{'cidr':'10.0.0.0'}]}", "slash"},
    {"{'a':[{'cidr':'bad/24'}]}", "address"},
    {"{'a':[{'cidr':'10.0.0.0/33'}]}", "from 0 to 32"},
    {"{'a':[{'cidr':'::/129'}]}", "from 0 to 128"},
    {"{'a':[{'cidr':'10.0.0.0/x'}]}", "number of bits"},
    {"{'a':[{'cidr':7}]}", "a string"},
    {"{'a':[{'wildcard':'a**b'}]}", "two wildcards"},
    {"{'a':[{'wildcard':'a\\\\b'}]}", "after a backslash"},
    {"{'a':[{'wildcard':'a\\\\'}]}", "after a backslash"},
    {"{'a':[{'wildcard':5}]}", "a string"},
    {"{'$or':[{'a':[1]}]}", "two objects"},
    {"{'a..b':[1]}", "empty"},
    {"{'hash':['x']}", "hash"},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
        char text[512];
        struct sp_filter *filter = NULL;
        struct sp_error error;
        sp_error_clear(&error);
        sp_str pattern = requote(REFUSED[i].pattern, text, sizeof(text));
        sp_status status = sp_filter_compile(pattern, &filter, &error);
        bool refused = status == SP_INVALID || status == SP_UNSUPPORTED;
        if (!refused || strstr(error.text, REFUSED[i].text) == NULL || error.offset == 0) {
            fail_msg("%s: %s, byte %d: %s", REFUSED[i].pattern, sp_status_name(status),
                     (int)error.offset, error.text);
        }
        assert_int_equal(sp_filter_compile(pattern, &filter, NULL), status);
    }
}

/* Alternatives multiply: of two conditions each, five make 32 rules, nine too many conditions. */
static void test_limits(void **state) {
    (void)state;
    for (int pairs = 1; pairs <= 12; pairs++) {
        char text[2048] = "{'z':[1]";
        for (int i = 0; i < pairs; i++) {
            /* Duplicate keys are no trouble here: each `$or` is multiplied with the others. */
            snprintf(text + strlen(text), sizeof(text) - strlen(text),
                     ",'$or':[{'a%d':[1]},{'b%d':[1]}]", i, i);
        }
        strcat(text, "}");
        char quoted[2048];
        struct sp_filter *filter = NULL;
        sp_status status = sp_filter_compile(requote(text, quoted, sizeof(quoted)), &filter, NULL);
        int conditions = (pairs + 1) << pairs;
        assert_int_equal(status, conditions <= SP_FILTER_TESTS_MAX ? SP_OK : SP_LIMIT);
        if (status == SP_OK) {
            assert_true(sp_filter_is_eventbridge(filter));
            sp_filter_free(filter);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
